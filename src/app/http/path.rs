//! Resolves the path of a URL to a file below a directory. A path never leads out of the directory.
//!
//! The path is split at its slashes first and decoded after that (RFC 3986, section 2.4). So an encoded slash is part
//! of a name, and no file has such a name. A decoded part may not contain `/`, `\` or NUL, and may not be `..`.
//! Symbolic links are followed; their target must be below the directory.
//!
//! A user with write access to the directory can replace a file by a link between this check and the opening. The
//! directory is trusted to that extent.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Why a URL gives no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The path is malformed: `..`, an encoded slash, a bad escape, or not UTF-8.
    Malformed,
    /// It leads out of the directory, or to a file that may not be read.
    Forbidden,
    /// Nothing has that name.
    NotFound,
}

/// The file or directory below `dir` that `url_path` (percent-encoded, without query) names, with all links resolved. A
/// path that ends with a slash names a directory.
pub fn resolve(dir: &Path, url_path: &str) -> Result<PathBuf, Refusal> {
    let mut path = dir.to_owned();
    let mut is_directory = false;
    for segment in url_path.split('/').filter(|segment| !segment.is_empty()) {
        let name = decode(segment).ok_or(Refusal::Malformed)?;
        let is_drive = cfg!(windows) && name.contains(':');
        if name == ".." || name.contains(['/', '\\', '\0']) || is_drive {
            return Err(Refusal::Malformed);
        }
        is_directory = name == ".";
        if !is_directory {
            path.push(name);
        }
    }
    is_directory |= url_path.ends_with('/');
    let root = dir.canonicalize().map_err(|error| refusal(&error))?;
    let found = path.canonicalize().map_err(|error| refusal(&error))?;
    match found.starts_with(&root) {
        false => Err(Refusal::Forbidden),
        true if is_directory && !found.is_dir() => Err(Refusal::NotFound),
        true => Ok(found),
    }
}

/// A name as it stands in a listing: control characters, characters that cannot be seen, `%` and bytes that are not UTF-8 are
/// percent-encoded.
pub(super) fn listed(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '%' || is_invisible(c) {
                encode(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut text);
            } else {
                text.push(c);
            }
        }
        encode(chunk.invalid(), &mut text);
    }
    text
}

fn encode(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        let _ = write!(text, "%{byte:02X}"); // a String takes everything
    }
}

/// Line separators, and what changes the direction of a line.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn refusal(error: &io::Error) -> Refusal {
    match error.kind() {
        // No file has a name that is too long.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => Refusal::NotFound,
        io::ErrorKind::InvalidInput => Refusal::Malformed,
        _ => Refusal::Forbidden,
    }
}

/// Undoes percent-encoding; `None` if an escape is broken or the bytes are not UTF-8.
fn decode(segment: &str) -> Option<String> {
    let mut data = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(value) = rest.next() {
        data.push(if value == b'%' {
            let digit = |value: u8| char::from(value).to_digit(16);
            (digit(rest.next()?)? * 16 + digit(rest.next()?)?) as u8
        } else {
            value
        });
    }
    String::from_utf8(data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A directory for one test, removed at its end.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tcplab-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a temporary directory can be made");
            Self(path)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn tree(name: &str) -> (TempDir, PathBuf) {
        let temp = TempDir::new(name);
        let dir = temp.0.join("www");
        fs::create_dir_all(dir.join("sub")).unwrap();
        fs::create_dir_all(temp.0.join("www-other")).unwrap();
        for file in ["www/a.txt", "www/sub/b c.txt", "www/100%.txt", "secret", "www-other/x", "www/größe", "www/..a"]
        {
            fs::write(temp.0.join(file), file).unwrap();
        }
        (temp, dir)
    }

    #[test]
    fn what_urls_lead_to() {
        use Refusal::{Malformed, NotFound};
        let (_temp, dir) = tree("paths");
        let table: &[(&str, Result<&str, Refusal>)] = &[
            ("/", Ok("")),
            ("", Ok("")),
            ("/a.txt", Ok("a.txt")),
            ("//a.txt", Ok("a.txt")),
            ("/./a.txt", Ok("a.txt")),
            ("/sub/", Ok("sub")),
            ("/sub/b%20c.txt", Ok("sub/b c.txt")),
            ("/%61.txt", Ok("a.txt")),
            ("/100%25.txt", Ok("100%.txt")),
            ("/gr%C3%B6%C3%9fe", Ok("größe")),
            ("/..a", Ok("..a")),
            ("/none", Err(NotFound)),
            ("/a.txt/b", Err(NotFound)),
            ("/a.txt/", Err(NotFound)),
            ("/a.txt//", Err(NotFound)),
            ("/a.txt/.", Err(NotFound)),
            ("/a.txt/%2e", Err(NotFound)),
            ("/sub/b%20c.txt/", Err(NotFound)),
            ("/sub//b%20c.txt", Ok("sub/b c.txt")),
            ("/sub/./b%20c.txt", Ok("sub/b c.txt")),
            ("/sub/.", Ok("sub")),
            ("/sub", Ok("sub")),
            ("/..", Err(Malformed)),
            ("/../secret", Err(Malformed)),
            ("/sub/../a.txt", Err(Malformed)),
            ("/sub/../../secret", Err(Malformed)),
            ("/%2e%2e/secret", Err(Malformed)),
            ("/.%2E/secret", Err(Malformed)),
            ("/..%2fsecret", Err(Malformed)),
            ("/%2e%2e%2Fsecret", Err(Malformed)),
            ("/sub%2fb%20c.txt", Err(Malformed)),
            ("/..%5csecret", Err(Malformed)),
            ("/..\\secret", Err(Malformed)),
            ("/a.txt%00.html", Err(Malformed)),
            ("/%", Err(Malformed)),
            ("/%2", Err(Malformed)),
            ("/%zz", Err(Malformed)),
            ("/%+1", Err(Malformed)),
            ("/%ff", Err(Malformed)),
            ("/%c0%ae%c0%ae/secret", Err(Malformed)), // an overlong ".." is not UTF-8
            ("/%252e%252e/secret", Err(NotFound)),    // decoded once: a name with a per cent sign
            ("/../www-other/x", Err(Malformed)),
        ];
        let root = dir.canonicalize().unwrap();
        for &(url, expected) in table {
            let expected = expected.map(|path| if path.is_empty() { root.clone() } else { root.join(path) });
            assert_eq!(resolve(&dir, url), expected, "{url}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let (_temp, dir) = tree("long");
        assert_eq!(resolve(&dir, &format!("/{}", "x".repeat(5000))), Err(Refusal::NotFound));
        assert_eq!(resolve(&dir, &"/x".repeat(5000)), Err(Refusal::NotFound));
    }

    #[test]
    fn a_listing_has_each_name_on_one_line_without_control_characters() {
        for (name, shown) in [
            ("a.txt", "a.txt"),
            ("b c.txt", "b c.txt"),
            ("größe", "größe"),
            ("two\nlines", "two%0Alines"),
            ("\u{1b}[31mred", "%1B[31mred"),
            ("bell\u{7}\u{7f}\u{9b}", "bell%07%7F%C2%9B"),
            ("txt.\u{202e}exe", "txt.%E2%80%AEexe"),
            ("100%.txt", "100%25.txt"),
        ] {
            assert_eq!(listed(OsStr::new(name)), shown);
            assert_eq!(decode(shown).as_deref(), Some(name), "a line can stand in a URL");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_has_no_files() {
        assert_eq!(resolve(Path::new("/nonexistent-tcplab"), "/a"), Err(Refusal::NotFound));
    }

    #[cfg(unix)]
    #[test]
    fn links_may_lead_anywhere_below_and_nowhere_else() {
        use std::os::unix::fs::symlink;
        let (temp, dir) = tree("links");
        symlink("a.txt", dir.join("inside")).unwrap();
        symlink("../secret", dir.join("outside")).unwrap();
        symlink(temp.0.join("www-other"), dir.join("neighbour")).unwrap();
        symlink("..", dir.join("up")).unwrap();
        symlink("loop", dir.join("loop")).unwrap();
        symlink(temp.0.join("www"), temp.0.join("alias")).unwrap();

        let root = dir.canonicalize().unwrap();
        assert_eq!(resolve(&dir, "/inside"), Ok(root.join("a.txt")));
        assert_eq!(resolve(&dir, "/outside"), Err(Refusal::Forbidden));
        assert_eq!(resolve(&dir, "/neighbour/x"), Err(Refusal::Forbidden), "a common prefix is not a parent");
        assert_eq!(resolve(&dir, "/up/secret"), Err(Refusal::Forbidden));
        assert_eq!(resolve(&dir, "/up/www/a.txt"), Ok(root.join("a.txt")), "it ends below");
        assert_eq!(resolve(&dir, "/loop"), Err(Refusal::Forbidden));
        assert_eq!(resolve(&temp.0.join("alias"), "/a.txt"), Ok(root.join("a.txt")), "the directory may be a link");
    }
}

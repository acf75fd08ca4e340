//! Where a command writes a file: a capture, a page. Each command that has `-w` calls [`Destination::check`] before it opens
//! a file for writing, and [`Destination::capture`] to begin. Other files have [`Destination::check_as`] and
//! [`Destination::write`].
//!
//! Two rules protect the files of a user. An output must not be an input of the same command, whatever path leads to it.
//! A file that is not empty and is not of the kind that is written is overwritten only with `--force`.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use same_file::Handle;

use super::CliError;
use crate::capture::{Capture, Settings};
use crate::escape;

/// The paths that mean standard input.
const STDIN: [&str; 3] = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
/// The paths that mean standard output.
const STDOUT: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
/// Symbolic links that are followed in a chain, as many as Linux follows.
const MOST_LINKS: usize = 40;
/// The first four bytes of a capture: pcapng, then pcap in microseconds, nanoseconds and with patched headers.
const MAGIC: [u32; 4] = [0x0a0d_0d0a, 0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34];

/// What a file is: the option that names it, and how a file of its kind is told from others.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileKind {
    /// As it is written on the command line.
    pub(super) option: &'static str,
    /// With its article: a capture.
    pub(super) name: &'static str,
    /// A name for examples.
    pub(super) example: &'static str,
    /// What may follow `tcplab ... OPTION -`.
    pub(super) pipe: &'static str,
    /// The command has `--force`.
    pub(super) has_force: bool,
    /// A file that begins with these bytes is of this kind. Fewer are given of a file that is shorter than [`BEGINNING`].
    pub(super) is_one: fn(&[u8]) -> bool,
}

/// Bytes of a file that are read to tell its kind.
const BEGINNING: usize = 64;

/// The file of `-w`.
pub(super) const CAPTURE: FileKind = FileKind {
    option: "-w",
    name: "a capture",
    example: "tcplab.pcapng",
    pipe: "wireshark -k -i -",
    has_force: true,
    is_one: |begins| begins.first_chunk().is_some_and(|begins| is_magic(*begins)),
};

/// Where a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// `-`, or a path that means standard output.
    Stdout,
    /// A file, which is created or overwritten.
    File(PathBuf),
}

impl Destination {
    /// Decides what `-w PATH` means, and whether the command may write there. `inputs` are the files that the command
    /// reads; `-` is standard input. Opens nothing for writing.
    ///
    /// # Errors
    /// The output is an input, is a terminal, or is a file that is not a capture and `force` is not given. Exit code 2.
    pub(super) fn check(path: &Path, inputs: &[&Path], force: bool) -> Result<Self, CliError> {
        Self::check_as(&CAPTURE, path, inputs, force)
    }

    /// The same for a file of another kind.
    ///
    /// # Errors
    /// As for [`Destination::check`].
    pub(super) fn check_as(kind: &FileKind, path: &Path, inputs: &[&Path], force: bool) -> Result<Self, CliError> {
        let shown = escape::path(path);
        let FileKind { option, pipe, .. } = kind;
        if path == Path::new("-") || names(path, &STDOUT) {
            if io::stdout().is_terminal() {
                return Err(CliError::Usage(format!(
                    "{option} {shown}: standard output is a terminal; name a file, or use a pipe: \
                     `tcplab ... {option} - | {pipe}`"
                )));
            }
            return match inputs.iter().find(|input| is_stdout(input)) {
                None => Ok(Self::Stdout),
                Some(input) => Err(CliError::Usage(format!(
                    "{option} {shown}: standard output is the input file {}; redirect it to another file",
                    escape::path(input)
                ))),
            };
        }
        if names(path, &STDIN) {
            return Err(CliError::Usage(format!(
                "{option} {shown}: this is standard input, which cannot be written; name another file, or use \
                 `{option} -` for standard output"
            )));
        }
        if let Some(input) = inputs.iter().find(|input| is_same(path, input)) {
            return Err(CliError::Usage(format!(
                "{option} {shown}: this is the input file {}, and writing would destroy it; name another file",
                escape::path(input)
            )));
        }
        check_place(kind, path)?;
        if !force {
            check_content(kind, path)?;
        }
        Ok(Self::File(path.to_owned()))
    }

    /// Where the capture of one of several hosts goes: `x.client.pcapng` for `x.pcapng`.
    pub(super) fn beside(path: &Path, host: &str) -> PathBuf {
        let ending = path.extension().map_or_else(|| host.to_owned(), |ending| format!("{host}.{}", ending.display()));
        path.with_extension(ending)
    }

    /// True if the file goes to standard output. Results then go to standard error.
    pub(super) fn is_stdout(&self) -> bool {
        *self == Self::Stdout
    }

    /// Opens the destination and begins the capture.
    ///
    /// # Errors
    /// It cannot be opened, or its first bytes cannot be written. Exit code 2.
    pub(super) fn capture(&self, settings: Settings) -> Result<Capture, CliError> {
        let capture = match self {
            Self::Stdout => settings.stream(io::stdout(), "standard output"),
            Self::File(path) => settings.create(path),
        };
        capture.map_err(|error| CliError::Usage(format!("{error}; -w FILE names another place for the capture")))
    }

    /// Writes a whole text there.
    ///
    /// # Errors
    /// It cannot be opened (exit code 2) or written (exit code 1).
    pub(super) fn write(&self, kind: &FileKind, text: &str) -> Result<(), CliError> {
        let Self::File(path) = self else { return Ok(io::stdout().lock().write_all(text.as_bytes())?) };
        let (FileKind { option, .. }, shown) = (kind, escape::path(path));
        let failed = |what, error| format!("{option} {shown}: cannot {what} the file: {error}; name another file");
        let mut file = File::create(path).map_err(|error| CliError::Usage(failed("create", error)))?;
        file.write_all(text.as_bytes()).map_err(|error| CliError::Run(failed("write", error)))
    }
}

impl core::fmt::Display for Destination {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => escape::path(path).fmt(f),
        }
    }
}

/// True if the path, or a symbolic link on the way to its end, is one of these names.
fn names(path: &Path, list: &[&str]) -> bool {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if list.iter().any(|name| path == Path::new(name)) {
            return true;
        }
        let Ok(next) = fs::read_link(&path) else { return false };
        // A relative link starts in the directory that it is in.
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    false
}

/// True if both paths lead to one file.
fn is_same(output: &Path, input: &Path) -> bool {
    // An input that does not exist must not come into being as the output.
    let missing = |path: &Path| fs::symlink_metadata(path).is_err();
    if missing(output) && missing(input) && place(output).is_some_and(|output| place(input) == Some(output)) {
        return true;
    }
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    if canonical(output).is_some_and(|output| canonical(input) == Some(output)) {
        // Writing to a character device such as /dev/null destroys nothing.
        return fs::metadata(output).is_ok_and(|file| file.is_file() || !is_device(&file));
    }
    match (handle(output), input_handle(input)) {
        (Some(output), Some(input)) => output == input,
        _ => false,
    }
}

/// Where a file would be created: its directory without symbolic links, and its name.
fn place(path: &Path) -> Option<PathBuf> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(fs::canonicalize(directory).ok()?.join(path.file_name()?))
}

/// True if standard output goes to a regular file, and that is the input.
fn is_stdout(input: &Path) -> bool {
    match (Handle::stdout().ok().filter(is_regular), input_handle(input)) {
        (Some(output), Some(input)) => output == input,
        _ => false,
    }
}

/// The file that an input is read from.
fn input_handle(input: &Path) -> Option<Handle> {
    if input == Path::new("-") || names(input, &STDIN) {
        return Handle::stdin().ok().filter(is_regular);
    }
    handle(input)
}

/// A regular file. Others are not opened: a named pipe would wait for its other end.
fn handle(path: &Path) -> Option<Handle> {
    let regular = fs::metadata(path).is_ok_and(|file| file.is_file());
    if regular { Handle::from_path(path).ok() } else { None }
}

fn is_regular(handle: &Handle) -> bool {
    handle.as_file().metadata().is_ok_and(|file| file.is_file())
}

#[cfg(unix)]
fn is_device(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    file.file_type().is_char_device()
}

#[cfg(not(unix))]
fn is_device(_file: &fs::Metadata) -> bool {
    false
}

/// A file can be created in a directory that exists, and not in place of a directory.
fn check_place(kind: &FileKind, path: &Path) -> Result<(), CliError> {
    let (shown, FileKind { option, example, .. }) = (escape::path(path), kind);
    if path.is_dir() {
        let example = path.join(example);
        return Err(CliError::Usage(format!(
            "{option} {shown}: this is a directory; name a file in it, such as {option} {}",
            escape::path(&example)
        )));
    }
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    match directory.filter(|directory| !directory.is_dir()) {
        Some(directory) if directory.exists() => Err(CliError::Usage(format!(
            "{option} {shown}: {} is not a directory; name a file in a directory that exists",
            escape::path(directory)
        ))),
        Some(directory) => Err(CliError::Usage(format!(
            "{option} {shown}: there is no directory {0}; make it with `mkdir -p {0}`, or name another file",
            escape::path(directory)
        ))),
        None if path.as_os_str().is_empty() => Err(CliError::Usage(format!(
            "{option} '': the name of the file is empty; name one, such as {option} {example}"
        ))),
        None => Ok(()),
    }
}

/// A file that exists must be empty or begin like one of its kind.
fn check_content(kind: &FileKind, path: &Path) -> Result<(), CliError> {
    let (shown, FileKind { option, name, .. }) = (escape::path(path), kind);
    match fs::metadata(path) {
        Ok(file) if file.is_file() && file.len() > 0 => {}
        // No data can be lost. A file that cannot be opened is reported when it is opened.
        _ => return Ok(()),
    }
    let or_force = if kind.has_force { ", or add --force to overwrite it" } else { "" };
    let mut begins = Vec::new();
    match File::open(path).and_then(|file| file.take(BEGINNING as u64).read_to_end(&mut begins)) {
        Ok(_) if (kind.is_one)(&begins) => Ok(()),
        Ok(_) => Err(CliError::Usage(format!(
            "{option} {shown}: the file exists and is not {name}; name another file{or_force}"
        ))),
        Err(error) => Err(CliError::Usage(format!(
            "{option} {shown}: the file exists and cannot be read, so tcplab cannot tell whether it is {name} \
             ({error}); name another file{or_force}"
        ))),
    }
}

pub(super) fn is_magic(begins: [u8; 4]) -> bool {
    MAGIC.contains(&u32::from_be_bytes(begins)) || MAGIC.contains(&u32::from_le_bytes(begins))
}

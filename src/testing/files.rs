//! A directory of files as a set of tests, one named test for each file. `replay::TestDir` and `drill::TestDir` stand on it,
//! and `tcplab drill` finds its scripts with it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};

use crate::escape;

/// The deepest directory that is looked into.
const DEEPEST: usize = 32;

/// What becomes of one file.
pub(crate) type Check = Arc<dyn Fn(&Path) -> Result<(), Failed> + Send + Sync>;

/// A kind of files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files {
    /// What they are, in the plural.
    pub(crate) what: &'static str,
    /// How their names end, without the dot.
    pub(crate) extensions: &'static [&'static str],
}

impl Files {
    /// The files of this kind below a directory, sorted. After an error those that were found before it.
    pub(crate) fn below(&self, dir: &Path) -> (Vec<PathBuf>, io::Result<()>) {
        let mut files = Vec::new();
        let found = self.gather(dir, 0, &mut files);
        files.sort();
        (files, found)
    }

    fn gather(&self, dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                if depth < DEEPEST {
                    self.gather(&path, depth + 1, files)?;
                }
            } else if path.extension().is_some_and(|end| self.extensions.iter().any(|known| end == *known)) {
                files.push(path);
            }
        }
        Ok(())
    }

    /// A test for each file below `dir`. A directory that cannot be read, or has fewer than `least` files, is a test that
    /// fails.
    pub(crate) fn trials(&self, dir: &Path, least: usize, check: &Check) -> Vec<Trial> {
        let (files, found) = self.below(dir);
        let mut trials: Vec<_> = files
            .iter()
            .map(|path| {
                let name = escape::path(path.strip_prefix(dir).unwrap_or(path)).to_string();
                let (path, check) = (path.clone(), Arc::clone(check));
                Trial::test(name.replace('\\', "/"), move || check(&path))
            })
            .collect();
        let (what, shown, count) = (self.what, escape::path(dir), files.len());
        let wrong = match found {
            Err(error) => Some(format!("read {shown}: {error}")),
            Ok(()) if count < least => {
                let ends: Vec<_> = self.extensions.iter().map(|end| format!(".{end}")).collect();
                Some(format!("{shown} holds {count} {what} ({}), where there should be {least}", ends.join(", ")))
            }
            Ok(()) => None,
        };
        trials.extend(wrong.map(|text| Trial::test(what, move || Err(text.into()))));
        trials
    }
}

/// A path that is not absolute begins at the package of the test.
pub(crate) fn in_package(dir: &Path) -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from).join(dir)
}

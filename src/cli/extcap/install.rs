//! `extcap --install` and `--uninstall`: the plugin is a script of two lines that calls this binary. It is put where
//! Wireshark looks for the plugins of one user.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::interfaces;
use crate::app::Registry;
use crate::cli::CliError;
use crate::cli::output::{Output, print};
use crate::escape;

/// The name of the plugin.
const NAME: &str = "tcplab";
/// The line by which our script is known.
const MARK: &str =
    "# Wireshark starts this script. `tcplab extcap --install` wrote it, `tcplab extcap --uninstall` removes it.";
/// Bytes of a file that are read to see whether it is ours.
const ENOUGH: u64 = 4096;

/// Writes the script.
pub(super) fn install(
    dir: Option<&Path>,
    scenarios: &[PathBuf],
    force: bool,
    registry: &Registry,
    output: Output,
) -> Result<(), CliError> {
    let dir = folder(dir, "--install")?;
    let scenarios = scenarios.iter().map(|dir| absolute(dir)).collect::<Result<Vec<_>, _>>()?;
    let script = dir.join(NAME);
    let text = script_text(&scenarios)?;
    refuse_foreign(&script, "--install", force)?;
    let failed = |what: &str, path: &Path, error: &io::Error| {
        let path = escape::path(path);
        CliError::Usage(format!("extcap --install: {what} {path}: {error}; `--install=DIR` names another directory"))
    };
    fs::create_dir_all(&dir).map_err(|error| failed("make the directory", &dir, &error))?;
    remove(&script).map_err(|error| failed("replace", &script, &error))?;
    write_script(&script, &text).map_err(|error| failed("write", &script, &error))?;
    print(format_args!("wrote {}\n", escape::path(&script)))?;
    let directories = interfaces::directories(&scenarios);
    let listed = interfaces::list(&directories, registry);
    let files = listed.iter().filter(|one| one.name.starts_with("tcplab-file-")).count();
    let directories: Vec<_> = directories.iter().map(|dir| escape::path(dir).to_string()).collect();
    output.note(format_args!(
        "Wireshark lists {} lessons and {files} scenario files (*.toml in {}) when it starts, or after Capture > Refresh \
         Interfaces\n`tcplab extcap --profile ~/.config/wireshark/profiles/tcplab` writes a profile with colours",
        listed.len() - 1 - files,
        directories.join(", ")
    ));
    Ok(())
}

/// Removes the script.
pub(super) fn uninstall(dir: Option<&Path>, force: bool, output: Output) -> Result<(), CliError> {
    let script = folder(dir, "--uninstall")?.join(NAME);
    let shown = escape::path(&script).to_string();
    if fs::symlink_metadata(&script).is_err() {
        output.note(format_args!("there is no {shown}: nothing to remove"));
        return Ok(());
    }
    refuse_foreign(&script, "--uninstall", force)?;
    remove(&script).map_err(|error| CliError::Usage(format!("extcap --uninstall: remove {shown}: {error}")))?;
    Ok(print(format_args!("removed {shown}\n"))?)
}

/// The directory where Wireshark looks.
fn folder(given: Option<&Path>, option: &str) -> Result<PathBuf, CliError> {
    if let Some(dir) = given {
        return Ok(dir.to_owned());
    }
    let folders = ["tshark", "wireshark"].iter().find_map(|program| {
        let output = Command::new(program).args(["-G", "folders"]).output().ok()?;
        personal_folder(&String::from_utf8_lossy(&output.stdout))
    });
    folders.ok_or_else(|| {
        CliError::Usage(format!(
            "extcap {option}: `tshark -G folders` does not tell where Wireshark looks for plugins (is it installed?); \
             `{option}=DIR` names the directory, which Help > About Wireshark > Folders shows as Extcap path"
        ))
    })
}

/// The folder of a user's plugins in what `tshark -G folders` prints. Before version 4.2 it is not printed: it is `extcap`
/// in the personal configuration.
fn personal_folder(folders: &str) -> Option<PathBuf> {
    let folder = |name: &str| {
        let named =
            folders.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, path)| PathBuf::from(path.trim())).filter(|path| path.is_absolute())
    };
    folder("Personal Extcap path").or_else(|| Some(folder("Personal configuration")?.join("extcap")))
}

/// A directory of scenario files, as Wireshark has to find it from wherever it runs.
fn absolute(dir: &Path) -> Result<PathBuf, CliError> {
    if !dir.is_dir() {
        let dir = escape::path(dir);
        return Err(CliError::Usage(format!(
            "--scenarios {dir}: this is not a directory; make it with `mkdir -p {dir}`"
        )));
    }
    fs::canonicalize(dir).map_err(|error| CliError::Usage(format!("--scenarios {}: {error}", escape::path(dir))))
}

fn script_text(scenarios: &[PathBuf]) -> Result<Vec<u8>, CliError> {
    let binary = std::env::current_exe()
        .map_err(|error| CliError::Usage(format!("extcap --install: find the path of this program: {error}")))?;
    let mut text = format!("#!/bin/sh\n{MARK}\nexec ").into_bytes();
    text.extend(quoted(binary.as_os_str()));
    text.extend(b" extcap");
    for dir in scenarios {
        text.extend(b" --scenarios ");
        text.extend(quoted(dir.as_os_str()));
    }
    text.extend(b" \"$@\"\n");
    Ok(text)
}

/// A word of sh(1).
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut out = vec![b'\''];
    for &byte in word.as_encoded_bytes() {
        if byte == b'\'' { out.extend(b"'\\''") } else { out.push(byte) }
    }
    out.push(b'\'');
    out
}

/// A file of that name that is not our script is kept.
fn refuse_foreign(script: &Path, option: &str, force: bool) -> Result<(), CliError> {
    let Ok(found) = fs::symlink_metadata(script) else { return Ok(()) };
    let shown = escape::path(script);
    if found.is_dir() {
        return Err(CliError::Usage(format!(
            "extcap {option}: {shown} is a directory; remove it, or name another place"
        )));
    }
    let mut begins = Vec::new();
    let read = fs::File::open(script).and_then(|file| file.take(ENOUGH).read_to_end(&mut begins));
    let ours = found.is_file() && read.is_ok() && String::from_utf8_lossy(&begins).lines().nth(1) == Some(MARK);
    if ours || force {
        return Ok(());
    }
    Err(CliError::Usage(format!("extcap {option}: tcplab did not write {shown}; move the file away, or add --force")))
}

fn remove(script: &Path) -> io::Result<()> {
    match fs::remove_file(script) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_script(script: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o755);
    options.open(script)?.write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_that_of_the_user_in_old_and_new_versions() {
        let old = "Personal configuration:\t/home/u/.config/wireshark\nExtcap path:\t/usr/lib/wireshark/extcap\n";
        assert_eq!(personal_folder(old), Some(PathBuf::from("/home/u/.config/wireshark/extcap")));
        let new = format!("{old}Personal Extcap path:\t/home/u/.local/lib/wireshark/extcap\n");
        assert_eq!(personal_folder(&new), Some(PathBuf::from("/home/u/.local/lib/wireshark/extcap")));
        assert_eq!(personal_folder("tshark: no such option\n"), None);
        assert_eq!(personal_folder("Personal configuration:\t\n"), None);
    }

    #[test]
    fn a_path_is_one_word_of_the_shell() {
        assert_eq!(quoted(OsStr::new("/it's $HOME/x y")), b"'/it'\\''s $HOME/x y'");
    }
}

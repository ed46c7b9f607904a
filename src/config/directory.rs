//! Checks directories that Ringway writes to.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::error::{Diagnostics, Problem, quote};
use super::kind::Kind;
use super::map_reader::YamlNode;

/// A directory that files can be created in.
pub fn kind() -> Kind<PathBuf> {
    let read = |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| {
        let folder = diagnostics.folder();
        value.read(diagnostics, |text| writable(text, &folder))
    };
    Kind::new(
        read,
        |path| json!(path.display().to_string()),
        || json!({ "type": "string", "minLength": 1 }),
    )
}

/// Returns the directory `text`, relative to `folder`, after checking that files can be created in it: one
/// is, and is removed.
///
/// A full disk is not a configuration error; the user of the directory handles it.
fn writable(text: &str, folder: &Path) -> Result<PathBuf, Problem> {
    if text.is_empty() {
        return Err(Problem::new("the path is empty").hint("name a directory, such as /var/lib/ringway"));
    }
    let path = folder.join(text);
    let shown = quote(&path.display().to_string());
    let hint = "make it, for the user that runs Ringway: it must be there when the process starts";
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(Problem::new(format!("{shown} is not a directory")).hint("name a directory")),
        Err(error) => return Err(Problem::new(format!("{shown} is not a directory: {error}")).hint(hint)),
    }
    match try_write(&path) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            let problem = Problem::new(format!("no file can be made in {shown}: {error}"));
            Err(problem.hint("let the user that runs Ringway write there"))
        }
        _ => Ok(path),
    }
}

fn try_write(directory: &Path) -> io::Result<()> {
    let probe = directory.join(format!(".ringway-{}", std::process::id()));
    fs::File::create(&probe)?;
    fs::remove_file(probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_found_from_the_folder_of_the_file_and_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("kept")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let kept = folder.path().join("kept");
        assert_eq!(writable("kept", folder.path()).unwrap(), kept);
        assert_eq!(writable(kept.to_str().unwrap(), Path::new("/")).unwrap(), kept);
        assert_eq!(fs::read_dir(kept).unwrap().count(), 0, "nothing is left there");
        for (wrong, reason) in [
            ("away", "is not a directory: No such file"),
            ("file", "is not a directory"),
            ("", "empty"),
        ] {
            let problem = writable(wrong, folder.path()).unwrap_err();
            assert!(problem.reason.contains(reason), "{}", problem.reason);
            assert!(problem.hint.is_some());
        }
    }
}

//! Files that a configuration names, and whose contents are part of it: they are read when it is.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::error::{Diagnostics, Problem, quote};
use super::kind::Kind;
use super::map_reader::YamlNode;
use super::read_regular;

/// The path of a file, from the folder of the configuration on.
pub fn kind() -> Kind<PathBuf> {
    let read = |value: &YamlNode<'_>, diagnostics: &mut Diagnostics| {
        let folder = diagnostics.folder();
        let path = value.read(diagnostics, |text| match text {
            "" => Err(Problem::new("the path is empty").hint("name a file")),
            text => Ok(folder.join(text)),
        })?;
        diagnostics.note_named(&path);
        Some(path)
    };
    Kind::new(
        read,
        |path| json!(path.display().to_string()),
        || json!({ "type": "string", "minLength": 1 }),
    )
}

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    read_regular(path).map_err(|error| {
        let problem = Problem::new(format!("cannot read {}: {error}", shown(path)));
        problem.hint("a relative path leads from the folder of the configuration file")
    })
}

/// The path as messages show it.
pub fn shown(path: &Path) -> String {
    quote(&path.display().to_string())
}

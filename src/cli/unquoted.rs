//! Reads addresses of the command line: one with a password is refused without being quoted, as clap would quote it.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

use crate::config;

/// A parser of addresses.
#[derive(Debug, Clone)]
pub struct Unquoted<P>(pub P);

impl<P: TypedValueParser> TypedValueParser for Unquoted<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, option: Option<&Arg>, value: &OsStr) -> Result<P::Value, Error> {
        if !config::has_user(&value.to_string_lossy()) {
            return self.0.parse_ref(command, option, value);
        }
        let option = option.map(|option| format!("{option}: ")).unwrap_or_default();
        let message = format!(
            "{option}an address has no user and no password, leave out what is before the @\n\nFor more information, \
             try '--help'.\n"
        );
        Err(Error::raw(ErrorKind::ValueValidation, message))
    }
}

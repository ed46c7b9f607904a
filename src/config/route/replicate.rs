//! The settings of `replicate`.

use std::borrow::Cow;

use serde_json::Value;

use super::super::error::{Diagnostics, Problem};
use super::super::kind::{flag, percent, word, words};
use super::super::map_reader::YamlNode;
use super::super::rows::{Section, render, section};
use super::reader::{Beside, Reader};
use super::{Route, Settings, Under, schema};

section! {
    /// Keeps the same values in several routes.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Replicate {
        (
            /// At least two routes; the first decides whatever only one can decide.
            to: Vec<Route>,
        )
        /// When a write is done.
        write: Writes = Writes::All, word();
        /// Which replicas a read asks.
        read: Reads = Reads::First, word();
        /// Whether reads that miss go on to the next replica.
        on_miss: bool = false, flag();
        /// The share of the reads that may be sent twice if `read` is `hedged`; 100% is no bound.
        budget: u32 = 10, percent();
    }
}

words! {
    /// When a write is done.
    pub enum Writes {
        /// When all replicas did it.
        All = "all",
        /// When more than half of the replicas did it.
        Majority = "majority",
        /// When any replica did it.
        First = "first",
        /// When the first replica in the list did it; the others go on in the background.
        Async = "async",
    }
}

words! {
    /// Which replicas a read asks.
    pub enum Reads {
        /// The first in the list; the next if it fails.
        First = "first",
        /// All at once; the first hit is the reply.
        Fastest = "fastest",
        /// The first in the zone of this process; the next if it fails.
        Local = "local",
        /// As with `local`; if it is slow, a second one is asked too.
        Hedged = "hedged",
    }
}

impl Settings for Replicate {
    const NAME: &'static str = "replicate";

    fn read(
        reader: &mut Reader,
        value: &YamlNode<'_>,
        _beside: &Beside,
        diagnostics: &mut Diagnostics,
    ) -> Option<Replicate> {
        let mut settings = Replicate::default();
        settings.to = reader.list(value, diagnostics, |keys| {
            settings.read_rows(keys);
            if settings.read != Reads::Hedged && keys.is_good("budget") {
                let problem = Problem::new("only hedged reads have a budget");
                keys.reject(
                    "budget",
                    problem.hint("add `read: hedged`, or take the budget out"),
                );
            }
        })?;
        if settings.read == Reads::Local {
            reader
                .zones
                .extend(value.find("read").map(|read| read.location()));
        }
        Some(settings)
    }

    fn routes(&self) -> Vec<(Cow<'_, str>, Under<'_>)> {
        vec![("to".into(), Under::List(&self.to))]
    }

    fn options(&self) -> Value {
        let mut options = render(self);
        if self.read != Reads::Hedged {
            options.as_object_mut().map(|options| options.remove("budget"));
        }
        options
    }

    fn schema() -> Value {
        schema::list::<Replicate>()
    }
}

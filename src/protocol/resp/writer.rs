//! Writes single commands of a Valkey or Redis: the native ones, and the operations of the script.

use super::expiry::Expiry;
use super::form::{Context, Form, Piece};
use super::script::{self, Operation};
use super::stored::{HEADER, Header, Marks, digest};
use super::words::write_argument;
use crate::protocol::Request;

/// How a request stores its value.
#[derive(Debug, Clone, Copy)]
pub struct Store {
    /// Of ms: `S`, `E`, `R`, `A` or `P`.
    pub mode: u8,
    /// The client's flags.
    pub flags: u32,
    /// When the item ends; append and prepend ignore it.
    pub expiry: Expiry,
    /// The cas id to compare.
    pub cas: Option<u64>,
    /// The item's new cas id, if the client chose one.
    pub chosen_id: Option<u64>,
    /// Whether the item is stored as stale if its cas id is higher.
    pub may_be_stale: bool,
    /// The expiry with which append and prepend create a missing item, if they may.
    pub vivify: Option<Expiry>,
    /// Whether the answer has the item's cas id.
    pub wants_cas: bool,
}

impl Store {
    /// The header of the item, if it has one.
    #[inline]
    fn header(&self, request: &Request<'_>, context: &Context) -> Option<Header> {
        let marks = self.chosen_id.map_or(Marks::default(), |_| Marks::CHOSEN_ID);
        let id = self.chosen_id.unwrap_or(context.id);
        Header::needed(self.flags, id, marks, request.value)
    }

    /// The cas id of the item with this `header`; 0 if it was not asked for.
    #[inline]
    fn id(&self, header: Option<Header>, request: &Request<'_>) -> u64 {
        match (self.wants_cas, header) {
            (false, _) => 0,
            (true, Some(header)) => header.cas,
            (true, None) => digest(request.value),
        }
    }
}

/// How a request counts.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    /// Whether it adds.
    pub is_incr: bool,
    /// What it adds or subtracts.
    pub delta: u64,
    /// The cas id to compare.
    pub cas: Option<u64>,
    /// The item's new cas id, if the client chose one.
    pub chosen_id: Option<u64>,
    /// The expiry with which a missing item is created, if it may be.
    pub vivify: Option<Expiry>,
    /// The number that it has then.
    pub initial: u64,
    /// The item's new expiry.
    pub touch: Option<Expiry>,
    /// Whether the answer has the item's cas id.
    pub wants_cas: bool,
}

/// Writes commands piece by piece.
pub struct Writer<'p, F: FnMut(Piece<'_>)> {
    put: &'p mut F,
}

impl<'p, F: FnMut(Piece<'_>)> Writer<'p, F> {
    /// Returns a writer that hands the pieces to `put`.
    pub fn new(put: &'p mut F) -> Self {
        Writer { put }
    }

    fn put(&mut self, bytes: &[u8]) {
        (self.put)(Piece::Bytes(bytes));
    }

    fn begin(&mut self, words: usize) {
        self.put(b"*");
        self.put(itoa::Buffer::new().format(words).as_bytes());
        self.put(b"\r\n");
    }

    fn word(&mut self, word: &[u8]) {
        write_argument(word, &mut |bytes| (self.put)(Piece::Bytes(bytes)));
    }

    fn words(&mut self, words: &[&[u8]]) {
        words.iter().for_each(|word| self.word(word));
    }

    /// Writes the request's value of `length` bytes as an argument, behind a header if there is one.
    fn value(&mut self, header: Option<Header>, length: usize) {
        let whole = length + header.map_or(0, |_| HEADER);
        self.put(b"$");
        self.put(itoa::Buffer::new().format(whole).as_bytes());
        self.put(b"\r\n");
        if let Some(header) = header {
            self.put(&header.bytes());
        }
        (self.put)(Piece::Value);
        self.put(b"\r\n");
    }

    /// Begins a call of the script for `key`, with `words` behind the operation.
    fn script(&mut self, operation: Operation, key: &[u8], words: usize, context: &Context) {
        self.begin(words + 5);
        match context.sends_script {
            false => self.words(&[b"EVALSHA", script::DIGEST.as_bytes()]),
            true => self.words(&[b"EVAL", script::BODY.as_bytes()]),
        }
        self.words(&[b"1", key, operation.word()]);
    }

    /// Sends the line that refuses the request to the server, from where it comes back in its turn.
    pub fn refuse(&mut self, line: &str) -> Form {
        self.begin(2);
        self.words(&[b"PING", line.as_bytes()]);
        Form::Refused
    }

    /// Reads `key`.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Form {
        self.put(b"*2\r\n$3\r\nGET\r\n");
        self.word(key);
        Form::Value
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: &[u8]) -> Form {
        self.put(b"*2\r\n$3\r\nDEL\r\n");
        self.word(key);
        Form::Found
    }

    /// Removes all keys of the database.
    pub fn flush(&mut self) -> Form {
        self.begin(2);
        self.words(&[b"FLUSHDB", b"ASYNC"]);
        Form::Flushed
    }

    /// Reads `key` and sets its expiry.
    pub fn get_and_touch(&mut self, key: &[u8], expiry: Expiry) -> Form {
        let (word, millis) = match expiry {
            Expiry::Now => {
                self.begin(2);
                self.words(&[b"GETDEL", key]);
                return Form::Value;
            }
            Expiry::Never => {
                self.begin(3);
                self.words(&[b"GETEX", key, b"PERSIST"]);
                return Form::Value;
            }
            Expiry::After(millis) => (&b"PX"[..], millis),
            Expiry::At(millis) => (&b"PXAT"[..], millis),
        };
        self.begin(4);
        self.words(&[b"GETEX", key, word, itoa::Buffer::new().format(millis).as_bytes()]);
        Form::Value
    }

    /// Sets the expiry of `key`.
    pub fn touch(&mut self, key: &[u8], expiry: Expiry, context: &Context) -> Form {
        let (word, millis) = match expiry {
            Expiry::Now => return self.delete(key),
            // PERSIST does not tell a missing key from one without an expiry.
            Expiry::Never => return self.read(key, b"b", &Reading::touching(expiry), context),
            Expiry::After(millis) => (&b"PEXPIRE"[..], millis),
            Expiry::At(millis) => (&b"PEXPIREAT"[..], millis),
        };
        self.begin(3);
        self.words(&[word, key, itoa::Buffer::new().format(millis).as_bytes()]);
        Form::Found
    }

    /// Reads `key` by the script, with these `options`.
    pub fn read(&mut self, key: &[u8], options: &[u8], reading: &Reading, context: &Context) -> Form {
        let word = |expiry: Option<Expiry>| expiry.map_or_else(String::new, Expiry::word);
        self.script(Operation::Get, key, 5, context);
        let id = reading.chosen_id.unwrap_or(context.id).to_be_bytes();
        self.words(&[
            options,
            word(reading.touch).as_bytes(),
            word(reading.vivify).as_bytes(),
            &id,
        ]);
        self.word(word(reading.recache).as_bytes());
        Form::Script
    }

    /// Stores the value of `request`.
    #[inline]
    pub fn store(&mut self, request: &Request<'_>, store: &Store, context: &Context) -> Form {
        let is_native = store.cas.is_none() && matches!(store.mode, b'S' | b'E' | b'R');
        match store.expiry {
            Expiry::Now if is_native && store.mode == b'S' => {
                self.delete(request.key);
                Form::Ended {
                    cas: store.id(store.header(request, context), request),
                }
            }
            expiry if is_native && expiry != Expiry::Now => self.set(request, store, context),
            _ => self.store_by_script(request, store, context),
        }
    }

    #[inline]
    fn set(&mut self, request: &Request<'_>, store: &Store, context: &Context) -> Form {
        let condition: &[u8] = match store.mode {
            b'E' => b"NX",
            b'R' => b"XX",
            _ => b"",
        };
        let (unit, millis) = match store.expiry {
            Expiry::After(millis) => (&b"PX"[..], millis),
            Expiry::At(millis) => (&b"PXAT"[..], millis),
            Expiry::Never | Expiry::Now => (&b""[..], 0),
        };
        let header = store.header(request, context);
        self.begin(3 + 2 * usize::from(!unit.is_empty()) + usize::from(!condition.is_empty()));
        self.put(b"$3\r\nSET\r\n");
        self.word(request.key);
        self.value(header, request.value.len());
        if !unit.is_empty() {
            self.words(&[unit, itoa::Buffer::new().format(millis).as_bytes()]);
        }
        if !condition.is_empty() {
            self.word(condition);
        }
        Form::Stored {
            cas: store.id(header, request),
        }
    }

    fn store_by_script(&mut self, request: &Request<'_>, store: &Store, context: &Context) -> Form {
        let options = letters(&[
            (store.wants_cas, b'c'),
            (store.may_be_stale, b'I'),
            (store.chosen_id.is_some(), b'E'),
        ]);
        let extends = matches!(store.mode, b'A' | b'P');
        // Append and prepend take a cas id of 0 for none.
        let cas = store
            .cas
            .filter(|cas| *cas != 0 || !extends)
            .map(u64::to_be_bytes);
        let vivify = expiry_word(store.vivify);
        self.script(Operation::Store, request.key, 9, context);
        self.word(&[store.mode]);
        self.value(None, request.value.len());
        self.word(&store.flags.to_be_bytes());
        self.word(&store.chosen_id.unwrap_or(context.id).to_be_bytes());
        self.word(store.expiry.word().as_bytes());
        self.word(cas.as_ref().map_or(b"", |cas| &cas[..]));
        self.words(&[&options, vivify.as_bytes()]);
        self.word(itoa::Buffer::new().format(context.max_value).as_bytes());
        Form::Script
    }

    /// Counts in the number at `key`.
    pub fn count(&mut self, key: &[u8], count: &Count, context: &Context) -> Form {
        let cas = count.cas.filter(|cas| *cas != 0).map(u64::to_be_bytes);
        let options = letters(&[(count.wants_cas, b'c'), (count.chosen_id.is_some(), b'E')]);
        self.script(Operation::Count, key, 8, context);
        self.word(if count.is_incr { b"+" } else { b"-" });
        self.word(itoa::Buffer::new().format(count.delta).as_bytes());
        self.word(cas.as_ref().map_or(b"", |cas| &cas[..]));
        self.word(&count.chosen_id.unwrap_or(context.id).to_be_bytes());
        self.word(expiry_word(count.vivify).as_bytes());
        self.word(itoa::Buffer::new().format(count.initial).as_bytes());
        self.words(&[expiry_word(count.touch).as_bytes(), &options]);
        Form::Script
    }

    /// Removes `key`, empties it, or marks it as stale, as `deletion` says.
    pub fn remove(&mut self, key: &[u8], deletion: &Deletion, context: &Context) -> Form {
        let options = letters(&[
            (deletion.makes_stale, b'I'),
            (deletion.empties, b'x'),
            (deletion.chosen_id.is_some(), b'E'),
        ]);
        let cas = deletion.cas.map(u64::to_be_bytes);
        self.script(Operation::Delete, key, 5, context);
        self.words(&[cas.as_ref().map_or(b"", |cas| &cas[..]), &options]);
        self.word(expiry_word(deletion.expiry).as_bytes());
        self.word(&deletion.chosen_id.unwrap_or(context.id).to_be_bytes());
        self.word(&deletion.flags.to_be_bytes());
        Form::Script
    }

    /// Shows the internals of `key`.
    pub fn debug(&mut self, key: &[u8], context: &Context) -> Form {
        self.script(Operation::Debug, key, 0, context);
        Form::Script
    }
}

/// Returns the letters of the options that are set, as the script takes them.
pub fn letters(options: &[(bool, u8)]) -> Vec<u8> {
    let set = options.iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, letter)| *letter).collect()
}

/// Returns the expiry as the script takes it: empty for none.
fn expiry_word(expiry: Option<Expiry>) -> String {
    expiry.map_or_else(String::new, Expiry::word)
}

/// What a read by the script changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// The item's new expiry.
    pub touch: Option<Expiry>,
    /// The expiry with which a missing item is created, if it may be.
    pub vivify: Option<Expiry>,
    /// A reader that finds less than this left wins the token.
    pub recache: Option<Expiry>,
    /// The cas id of an item that is created, if the client chose one.
    pub chosen_id: Option<u64>,
}

impl Reading {
    fn touching(expiry: Expiry) -> Reading {
        Reading {
            touch: Some(expiry),
            ..Reading::default()
        }
    }
}

/// How an item is removed by the script.
#[derive(Debug, Clone, Copy)]
pub struct Deletion {
    /// The cas id to compare.
    pub cas: Option<u64>,
    /// Whether it is marked as stale instead.
    pub makes_stale: bool,
    /// Whether it is emptied instead.
    pub empties: bool,
    /// Its new expiry.
    pub expiry: Option<Expiry>,
    /// Its new cas id, if the client chose one.
    pub chosen_id: Option<u64>,
    /// The client's flags of an item that is emptied.
    pub flags: u32,
}

//! What the embedded server keeps: records in one transactional file, each a key and a value in a table.
//!
//! A [`Store`] knows nothing of what the bytes mean. Whatever is handed to [`commit`](Store::commit) is on disk, all of it,
//! when that returns, or none of it is; a crash in between loses nothing that was there. A [`Writer`] commits on a thread of
//! its own, everything that has queued up at once. The file is one of `redb`'s, which copies what it changes and sums what
//! it writes; only one process at a time may have it.

mod check;
mod error;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use redb::{Builder, Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, backends::FileBackend};

pub use self::{
    check::{Checked, check},
    error::StoreError,
    schema::VERSION,
    writer::{Batch, Report, Writer},
};

/// All of it is read once, at the start, and held by whoever asked: little of the file is worth a second copy in memory.
const CACHE: usize = 8 * 1024 * 1024;

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Publications that live (RFC 3903).
    Publications,
    /// Subscriptions with their dialogs (RFC 6665).
    Subscriptions,
    /// Bindings of addresses (RFC 3261 §10).
    Registrations,
    /// Documents of users: rules, lists, state that does not expire.
    Documents,
    /// Who watched or wanted to.
    Watchers,
    /// What the server knows of itself.
    Meta,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Publications, Self::Subscriptions, Self::Registrations, Self::Documents, Self::Watchers, Self::Meta];

    /// Returns its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publications => "publications",
            Self::Subscriptions => "subscriptions",
            Self::Registrations => "registrations",
            Self::Documents => "documents",
            Self::Watchers => "watchers",
            Self::Meta => "meta",
        }
    }

    const fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name())
    }
}

/// One thing that is kept, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where.
    pub table: Table,
    /// Under which key.
    pub key: Vec<u8>,
    /// What; none removes it.
    pub value: Option<Vec<u8>>,
}

/// A key with its value, as they were kept.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Opens the file, at the start and again after a failure.
type Open = Box<dyn Fn() -> Result<Database, StoreError> + Send>;

/// Where records are kept; see the module's text.
pub struct Store {
    /// None keeps nothing.
    file: Option<Opened>,
}

struct Opened {
    open: Open,
    /// None after a failure, until it is opened again.
    database: Option<Database>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("keeps", &self.file.is_some()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the file, which is made with mode 0600 where there is none, in folders that are made with mode 0700 where there
    /// are none. One that an older version wrote is brought up to this one's.
    ///
    /// # Errors
    /// When somebody else has it open, or it cannot be read, written or understood.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        if !path.exists() {
            make(path)?;
        }
        let own = path.to_path_buf();
        let store = Self::opened_by(Box::new(move || open_file(&own, &builder())))?;
        // Not before it is known to be ours.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(store)
    }

    /// Keeps nothing: what is committed is forgotten, and there is never anything to load.
    pub const fn memory() -> Self {
        Self { file: None }
    }

    fn opened_by(open: Open) -> Result<Self, StoreError> {
        let mut opened = Opened { open, database: None };
        opened.database()?;
        Ok(Self { file: Some(opened) })
    }

    /// Returns whether anything is kept.
    pub const fn keeps(&self) -> bool {
        self.file.is_some()
    }

    /// Reads a whole table, by its keys.
    ///
    /// # Errors
    /// When the file cannot be read, or what stands there was not written by us.
    pub fn load(&mut self, table: Table) -> Result<Vec<Entry>, StoreError> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        let reading = file.database()?.begin_read()?;
        let rows = reading.open_table(table.definition())?;
        rows.iter()?
            .map(|row| {
                let (key, value) = row?;
                Ok((key.value().to_vec(), value.value().to_vec()))
            })
            .collect()
    }

    /// Writes all of the records, in one transaction that is on disk when this returns; of two with one key the later one
    /// counts.
    ///
    /// After a failure the file is opened again by whatever comes next, so that a disk that was full need not stay so.
    ///
    /// # Errors
    /// When it cannot be written. Then none of the records is there; but where the disk failed in the very last step, all of
    /// them may be, once the file is opened again.
    pub fn commit<'r, R>(&mut self, records: R) -> Result<(), StoreError>
    where
        R: IntoIterator<Item = &'r Record>,
        R::IntoIter: Clone,
    {
        let Some(file) = &mut self.file else { return Ok(()) };
        let records = records.into_iter();
        if records.clone().next().is_none() {
            return Ok(());
        }
        let done = write(file.database()?, &records);
        if done.is_err() {
            file.database = None;
        }
        done
    }
}

impl Opened {
    fn database(&mut self) -> Result<&Database, StoreError> {
        let reopened = || {
            let database = (self.open)()?;
            schema::bring_up(&database, schema::MIGRATIONS)?;
            Ok::<_, StoreError>(database)
        };
        let database = self.database.take().map_or_else(reopened, Ok)?;
        Ok(self.database.insert(database))
    }
}

fn write<'r>(database: &Database, records: &(impl Iterator<Item = &'r Record> + Clone)) -> Result<(), StoreError> {
    let writing = begin(database)?;
    for table in Table::ALL {
        let mut of_table = records.clone().filter(|record| record.table == table).peekable();
        if of_table.peek().is_none() {
            continue;
        }
        let mut rows = writing.open_table(table.definition())?;
        for Record { key, value, .. } in of_table {
            match value {
                Some(value) => drop(rows.insert(key.as_slice(), value.as_slice())?),
                None => drop(rows.remove(key.as_slice())?),
            }
        }
    }
    Ok(writing.commit()?)
}

/// Begins to write. In two steps, the second of which makes the first one count: strangers have a say in what is written,
/// and the sums that one step relies on are not proof against intent.
fn begin(database: &Database) -> Result<redb::WriteTransaction, StoreError> {
    let mut writing = database.begin_write()?;
    writing.set_two_phase_commit(true);
    Ok(writing)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// Opens a file that is there.
fn open_file(path: &Path, builder: &Builder) -> Result<Database, StoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    Ok(builder.create_with_backend(FileBackend::new(file)?)?)
}

/// Makes the file under another name first: one that is half made would be no use to anybody.
fn make(path: &Path) -> Result<(), StoreError> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    // Left over from a crash of a process with our number.
    let _ = fs::remove_file(&new);
    let made = (|| {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&new)?;
        let database = builder().create_with_backend(FileBackend::new(file)?)?;
        schema::bring_up(&database, schema::MIGRATIONS)?;
        database.close()?;
        match fs::hard_link(&new, path) {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // A file system without a second name for a file.
            Err(_) => Ok(fs::rename(&new, path)?),
            Ok(()) => Ok(()),
        }
    })();
    let _ = fs::remove_file(&new);
    made
}

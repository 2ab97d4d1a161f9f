//! Looking a file over without serving from it.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{ReadableDatabase as _, ReadableTableMetadata as _, TableError};

use super::{StoreError, Table, VERSION, builder, open_file, schema};

/// What a file was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The version of its records; one that is older than [`VERSION`] is brought up when it is served from.
    pub version: u32,
    /// Its server was killed; what was committed is there.
    pub was_killed: bool,
    /// It was damaged, and could be mended.
    pub was_mended: bool,
    /// How many records each table has.
    pub counts: Vec<(Table, u64)>,
    /// How long it is, in bytes.
    pub length: u64,
}

/// Reads all of a file, and compares it with the sums that were written beside; mends what can be mended.
///
/// # Errors
/// When there is none, somebody serves from it, it may not be written, or it cannot be mended or understood.
pub fn check(path: &Path) -> Result<Checked, StoreError> {
    if fs::metadata(path)?.len() == 0 {
        return Err(StoreError::Corrupt("it is empty".into()));
    }
    let was_killed = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&was_killed);
    let mut builder = builder();
    builder.set_repair_callback(move |_| told.store(true, Ordering::Relaxed));
    let mut database = open_file(path, &builder)?;
    let was_mended = !database.check_integrity()?;
    let missing = || StoreError::Corrupt("it does not say its version".into());
    let version = schema::version(&database)?.ok_or_else(missing)?;
    schema::refuse_newer(version, VERSION)?;
    let reading = database.begin_read()?;
    let count = |table: Table| match reading.open_table(table.definition()) {
        Ok(rows) => Ok((table, rows.len()?)),
        // A version that knows more tables will add them.
        Err(TableError::TableDoesNotExist(_)) => Ok((table, 0)),
        Err(error) => Err(StoreError::from(error)),
    };
    let counts = Table::ALL.into_iter().map(count).collect::<Result<_, _>>()?;
    drop(reading);
    database.close()?;
    let length = fs::metadata(path)?.len();
    Ok(Checked { version, was_killed: was_killed.load(Ordering::Relaxed), was_mended, counts, length })
}

//! Which version of our records a file has, and how an older one becomes this one.

use redb::{Database, ReadableDatabase as _, TableDefinition, TableError, WriteTransaction};

use super::{StoreError, Table, begin};

/// The version of the records that this program writes.
pub const VERSION: u32 = MIGRATIONS.len() as u32 + 1;

/// What makes records of one version those of the next.
pub(super) type Migration = fn(&WriteTransaction) -> Result<(), StoreError>;

/// The first one makes version 2 of version 1, and so on.
pub(super) const MIGRATIONS: &[Migration] = &[];

/// Beside our tables, where no record can reach it.
const SCHEMA: TableDefinition<'static, &'static str, u32> = TableDefinition::new("schema");
const KEY: &str = "version";

/// Returns the version of a file; none of one that is new.
pub(super) fn version(database: &Database) -> Result<Option<u32>, StoreError> {
    match database.begin_read()?.open_table(SCHEMA) {
        Ok(schema) => Ok(schema.get(KEY)?.map(|version| version.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Refuses what was written by a newer version.
pub(super) fn refuse_newer(found: u32, known: u32) -> Result<(), StoreError> {
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(()) }
}

/// Makes a new file ours, or brings an older one up to this version, in one transaction.
pub(super) fn bring_up(database: &Database, migrations: &[Migration]) -> Result<(), StoreError> {
    let newest = migrations.len() as u32 + 1;
    let found = version(database)?;
    if let Some(found) = found {
        refuse_newer(found, newest)?;
        if found == newest {
            return Ok(());
        }
    }
    let writing = begin(database)?;
    for table in Table::ALL {
        writing.open_table(table.definition())?;
    }
    let done = found.map_or(migrations.len(), |found| found.saturating_sub(1) as usize);
    for migrate in migrations.iter().skip(done) {
        migrate(&writing)?;
    }
    writing.open_table(SCHEMA)?.insert(KEY, newest)?;
    Ok(writing.commit()?)
}

#[cfg(test)]
mod tests {
    use redb::{ReadableTable as _, backends::InMemoryBackend};

    use super::*;

    fn shout(writing: &WriteTransaction) -> Result<(), StoreError> {
        let mut rows = writing.open_table(Table::Meta.definition())?;
        let old = rows.get(&b"word"[..])?.map(|value| value.value().to_ascii_uppercase());
        if let Some(old) = old {
            rows.insert(&b"word"[..], old.as_slice())?;
        }
        Ok(())
    }

    fn fail(writing: &WriteTransaction) -> Result<(), StoreError> {
        shout(writing)?;
        Err(StoreError::Full)
    }

    fn word(database: &Database) -> Vec<u8> {
        let rows = database.begin_read().unwrap().open_table(Table::Meta.definition()).unwrap();
        rows.iter().unwrap().next().unwrap().unwrap().1.value().to_vec()
    }

    #[test]
    fn an_older_file_is_brought_up_at_once_or_not_at_all_and_a_newer_one_is_left_alone() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        assert_eq!(version(&database).unwrap(), None);
        bring_up(&database, &[]).unwrap();
        assert_eq!(version(&database).unwrap(), Some(1));
        let writing = database.begin_write().unwrap();
        writing.open_table(Table::Meta.definition()).unwrap().insert(&b"word"[..], &b"hush"[..]).unwrap();
        writing.commit().unwrap();

        bring_up(&database, &[shout, fail]).unwrap_err();
        assert_eq!((version(&database).unwrap(), word(&database)), (Some(1), b"hush".to_vec()));
        bring_up(&database, &[shout]).unwrap();
        assert_eq!((version(&database).unwrap(), word(&database)), (Some(2), b"HUSH".to_vec()));
        bring_up(&database, &[fail]).unwrap();

        let error = bring_up(&database, &[]).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, known: 1 }));
        assert!(error.to_string().starts_with("this file was written by a newer sippresence"), "{error}");
    }
}

//! A store on good and on bad days.

use std::{
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI32, Ordering},
    },
};

use nix::errno::Errno;
use redb::StorageBackend;

use super::*;

fn record(table: Table, key: &str, value: &str) -> Record {
    Record { table, key: key.into(), value: Some(value.into()) }
}

fn removed(table: Table, key: &str) -> Record {
    Record { table, key: key.into(), value: None }
}

fn entries(store: &mut Store, table: Table) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    store.load(table).unwrap().into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// A disk that says no when it is told to; its bytes outlive whoever opened it.
#[derive(Clone, Debug, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    says: Arc<AtomicI32>,
}

impl Disk {
    fn says(&self, errno: Option<Errno>) {
        self.says.store(errno.map_or(0, |errno| errno as i32), Ordering::SeqCst);
    }

    fn may_be_written(&self) -> io::Result<()> {
        match self.says.load(Ordering::SeqCst) {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn store(&self) -> Result<Store, StoreError> {
        let disk = self.clone();
        Store::opened_by(Box::new(move || Ok(Builder::new().create_with_backend(disk.clone())?)))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (bytes, from) = (self.bytes.lock().unwrap(), offset as usize);
        out.copy_from_slice(bytes.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.may_be_written()?;
        self.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.may_be_written()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.may_be_written()?;
        let (mut bytes, from) = (self.bytes.lock().unwrap(), offset as usize);
        bytes[from..from + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[test]
fn what_was_committed_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/server.redb");
    let mut store = Store::open(&path).unwrap();
    assert!(store.keeps() && entries(&mut store, Table::Watchers).is_empty());
    store
        .commit(&[
            record(Table::Publications, "b", "1"),
            record(Table::Publications, "a", "2"),
            record(Table::Meta, "a", "meta"),
            record(Table::Publications, "c", "never"),
            removed(Table::Publications, "c"),
            record(Table::Publications, "b", "3"),
            removed(Table::Documents, "was never there"),
        ])
        .unwrap();
    store.commit(&[]).unwrap();
    drop(store);
    let mut store = Store::open(&path).unwrap();
    let expected = [("a", "2"), ("b", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(entries(&mut store, Table::Publications), expected);
    assert_eq!(entries(&mut store, Table::Meta), [("a".to_owned(), "meta".to_owned())]);
    assert!(entries(&mut store, Table::Documents).is_empty());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing temporary stays");
}

#[test]
fn a_file_that_others_may_read_is_theirs_no_longer_and_its_folder_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.redb");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    Store::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o755);
}

#[test]
fn in_memory_nothing_is_kept_and_nothing_fails() {
    let mut store = Store::memory();
    store.commit(&[record(Table::Meta, "a", "b")]).unwrap();
    assert!(!store.keeps() && store.load(Table::Meta).unwrap().is_empty());
}

#[test]
fn two_servers_do_not_have_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.redb");
    let store = Store::open(&path).unwrap();
    for error in [Store::open(&path).unwrap_err(), check(&path).unwrap_err()] {
        assert!(matches!(error, StoreError::Locked));
        assert_eq!(error.to_string(), "another server has it open");
    }
    drop(store);
    Store::open(&path).unwrap();
}

#[test]
fn what_is_no_file_of_ours_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    let letter = "Dear Bob, ".repeat(1000);
    fs::write(&path, &letter).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode();
    let modes = (mode(&path), mode(folder.path()));
    assert!(matches!(Store::open(&path).unwrap_err(), StoreError::Corrupt(_)));
    assert!(matches!(check(&path).unwrap_err(), StoreError::Corrupt(_)));
    assert_eq!(fs::read_to_string(&path).unwrap(), letter);
    assert!(matches!(Store::open(folder.path()).unwrap_err(), StoreError::Io(_)));
    assert_eq!((mode(&path), mode(folder.path())), modes);
}

#[test]
fn a_disk_that_is_full_fails_a_commit_whole_and_one_that_is_no_longer_takes_the_next() {
    let disk = Disk::default();
    let mut store = disk.store().unwrap();
    store.commit(&[record(Table::Meta, "before", "1")]).unwrap();
    disk.says(Some(Errno::ENOSPC));
    let large = "x".repeat(10_000_000);
    for _ in 0..3 {
        let error = store.commit(&[record(Table::Meta, "lost", "1"), record(Table::Meta, "z", &large)]).unwrap_err();
        assert!(matches!(error, StoreError::Full), "{error}");
    }
    disk.says(None);
    store.commit(&[record(Table::Meta, "after", "1")]).unwrap();
    let keys = |store: &mut Store| entries(store, Table::Meta).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(&mut store), ["after", "before"]);
    drop(store);
    assert_eq!(keys(&mut disk.store().unwrap()), ["after", "before"]);
}

#[test]
fn a_file_that_may_not_be_written_is_said_to_be_so() {
    let disk = Disk::default();
    let mut store = disk.store().unwrap();
    disk.says(Some(Errno::EROFS));
    assert!(matches!(store.commit(&[record(Table::Meta, "a", "b")]).unwrap_err(), StoreError::ReadOnly));
    drop(store);
    assert!(matches!(disk.store().unwrap_err(), StoreError::ReadOnly));
    // For everybody but root.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.redb");
    drop(Store::open(&path).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    let opened = open_file(&path, &Builder::new());
    if nix::unistd::Uid::effective().is_root() {
        opened.unwrap();
    } else {
        assert!(matches!(opened.unwrap_err(), StoreError::ReadOnly));
    }
}

#[test]
fn a_check_counts_and_finds_what_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.redb");
    assert!(matches!(check(&path).unwrap_err(), StoreError::Io(error) if error.kind() == io::ErrorKind::NotFound));
    let mut store = Store::open(&path).unwrap();
    let of_watchers = (0..1000).map(|n| record(Table::Watchers, &format!("{n:04}"), &"w".repeat(500)));
    store.commit(&of_watchers.collect::<Vec<_>>()).unwrap();
    store.commit(&[record(Table::Documents, "a", "b")]).unwrap();
    drop(store);
    let checked = check(&path).unwrap();
    assert_eq!((checked.version, checked.was_killed, checked.was_mended), (VERSION, false, false));
    let counts: Vec<u64> = checked.counts.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [0, 0, 0, 1, 1000, 0]);
    assert_eq!(checked.length, fs::metadata(&path).unwrap().len());
    // One byte in the middle of a value.
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(400).position(|part| part.iter().all(|byte| *byte == b'w')).unwrap();
    bytes[at + 200] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(check(&path).unwrap_err(), StoreError::Corrupt(_)));
}

#[tokio::test]
async fn a_writer_commits_what_has_queued_up_and_tells_of_each_batch_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.redb");
    let (writer, mut reports) = Writer::start(Store::open(&path).unwrap()).unwrap();
    for n in 1..=500 {
        writer.submit(Batch { n, records: vec![record(Table::Meta, &format!("{n:03}"), "x")] });
    }
    let (mut last, mut commits) = (0, 0);
    while last < 500 {
        let Some(Report::Persisted { through }) = reports.recv().await else { panic!("failed after {last}") };
        assert!(through > last);
        (last, commits) = (through, commits + 1);
    }
    assert!(commits < 500, "each batch went alone");
    assert_eq!(writer.waiting(), 0);
    assert_eq!(writer.finish().unwrap().load(Table::Meta).unwrap().len(), 500);
    assert!(reports.recv().await.is_none());
}

#[tokio::test]
async fn a_writer_gives_back_what_failed_and_goes_on() {
    let disk = Disk::default();
    let (writer, mut reports) = Writer::start(disk.store().unwrap()).unwrap();
    disk.says(Some(Errno::ENOSPC));
    let batch = Batch { n: 1, records: vec![record(Table::Meta, "a", "1")] };
    writer.submit(batch.clone());
    let Some(Report::Failed { batches, error: StoreError::Full }) = reports.recv().await else { panic!("kept") };
    assert_eq!(batches, std::slice::from_ref(&batch));
    disk.says(None);
    for batch in batches {
        writer.submit(Batch { n: 2, ..batch });
    }
    assert!(matches!(reports.recv().await, Some(Report::Persisted { through: 2 })));
    assert_eq!(entries(&mut writer.finish().unwrap(), Table::Meta), [("a".to_owned(), "1".to_owned())]);
}

#[test]
fn what_was_sent_before_the_end_is_on_disk() {
    let disk = Disk::default();
    let (writer, reports) = Writer::start(disk.store().unwrap()).unwrap();
    drop(reports);
    writer.submit(Batch { n: 1, records: vec![record(Table::Meta, "a", "1")] });
    drop(writer);
    assert_eq!(entries(&mut disk.store().unwrap(), Table::Meta).len(), 1);
}

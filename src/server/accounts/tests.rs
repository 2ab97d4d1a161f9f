//! Accounts in a file, and who proves to be whom by them.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};

use super::*;
use crate::sip::auth::ha1;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn file() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server/accounts");
    (folder, path)
}

fn names(path: &Path) -> Vec<String> {
    Accounts::load(path).unwrap().iter().map(|(name, _)| name.to_string()).collect()
}

fn digest(path: &Path, user: &str, domain: &str, hash: Hash) -> String {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{user}@{domain} "))).unwrap();
    let begin = format!("{}:", hash.token());
    line.split(' ').find_map(|word| word.strip_prefix(&begin)).unwrap().to_owned()
}

#[test]
fn aut_11_a_digest_for_each_hash_is_kept_and_never_the_password() {
    let (_folder, path) = file();
    add(&path, &name("Zoë😀@Example.com"), "päss wörd").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("päss"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    for hash in Hash::ALL {
        let expected = ha1(hash, "Zoë😀", "example.com", "päss wörd");
        assert_eq!(digest(&path, "Zoë😀", "example.com", hash), *expected, "{hash:?}");
    }
    let accounts = Accounts::load(&path).unwrap();
    let known = |user, domain| matches!(accounts.lookup(user, domain), User::Known(_));
    assert!(known("Zoë😀", "example.com") && known("Zoë😀", "EXAMPLE.com"));
    assert!(!known("zoë😀", "example.com") && !known("Zoë😀", "example.org"));
    assert_eq!(accounts.iter().collect::<Vec<_>>(), [(name("Zoë😀@example.com"), Hash::ALL.to_vec())]);
}

#[test]
fn an_account_is_added_changed_and_removed_and_the_rest_of_the_file_stays() {
    let (_folder, path) = file();
    assert!(Accounts::load(&path).unwrap().is_empty());
    for who in ["bob@example.com", "alice@example.com", "alice@example.org"] {
        add(&path, &name(who), "secret").unwrap();
    }
    let commented = fs::read_to_string(&path).unwrap() + "\n  # of the other house:\n";
    fs::write(&path, &commented).unwrap();
    add(&path, &name("carol@example.org"), "secret").unwrap();
    let before = digest(&path, "bob", "example.com", Hash::Sha256);
    set_password(&path, &name("bob@EXAMPLE.com"), "another").unwrap();
    assert_ne!(digest(&path, "bob", "example.com", Hash::Sha256), before);
    remove(&path, &[name("alice@example.com"), name("carol@example.org")]).unwrap();
    assert_eq!(names(&path), ["bob@example.com", "alice@example.org"]);
    assert_eq!(Accounts::load(&path).unwrap().domains().collect::<Vec<_>>(), ["example.com", "example.org"]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# sippresence") && text.ends_with("\n\n  # of the other house:\n"), "{text}");
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let (_folder, path) = file();
    add(&path, &name("alice@example.com"), "secret").unwrap();
    let before = fs::read_to_string(&path).unwrap();
    let refused = |done: Result<(), AccountsError>| done.unwrap_err().to_string();
    assert_eq!(refused(add(&path, &name("alice@example.com"), "x")), "alice@example.com has an account already");
    assert_eq!(refused(add(&path, &name("bob@example.com"), "")), "the password is empty");
    assert_eq!(refused(set_password(&path, &name("alice@example.com"), "")), "the password is empty");
    assert_eq!(refused(set_password(&path, &name("bob@example.com"), "x")), "bob@example.com has no account");
    let both = [name("alice@example.com"), name("bob@example.com")];
    assert_eq!(refused(remove(&path, &both)), "bob@example.com has no account");
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    for error in [Accounts::load(&path).map(drop), add(&path, &name("bob@example.com"), "x")] {
        assert!(refused(error).contains("chmod 600"));
    }
}

#[test]
fn a_line_that_is_none_is_named_and_no_digest_is_shown() {
    let md5 = "0123456789abcdef0123456789abcdef";
    let read = |text: &str| Accounts::parse(text, Path::new("accounts")).unwrap_err().to_string();
    for (line, why) in [
        ("alice".to_owned(), "has no domain"),
        ("alice@example.com".to_owned(), "has no digest"),
        (format!("alice@example.com MD4:{md5}"), "is no digest"),
        (format!("alice@example.com MD5:{md5}0"), "32 digits"),
        (format!("alice@example.com MD5:{}", md5.to_uppercase()), "32 digits"),
        (format!("alice@example.com SHA-256:{md5}"), "64 digits"),
        (format!("alice@example.com MD5:{md5} MD5:{md5}"), "MD5 stands here a second time"),
        (format!("bob@EXAMPLE.com MD5:{md5}"), "bob@example.com stands here a second time"),
    ] {
        let error = read(&format!("# two\nbob@example.com MD5:{md5}\n\n{line}\n"));
        assert!(error.starts_with("accounts:4: ") && error.contains(why), "{error}");
        assert!(!error.contains(md5) || why == "is no digest", "{error}");
    }
}

#[test]
fn two_who_add_at_once_are_both_there() {
    let (_folder, path) = file();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let path = &path;
            scope.spawn(move || add(path, &Name::new(&format!("user{n}"), "example.com").unwrap(), "x").unwrap());
        }
    });
    assert_eq!(names(&path).len(), 8);
}

#[tokio::test]
async fn what_is_edited_is_in_force_and_a_fault_leaves_what_was() {
    let (_folder, path) = file();
    add(&path, &name("alice@example.com"), "secret").unwrap();
    let (sender, mut receiver) = watch::channel(InForce::load(&path).unwrap());
    let followed = tokio::spawn({
        let path = path.clone();
        async move { follow(&path, &sender).await }
    });
    let long = Duration::from_secs(20);
    add(&path, &name("bob@example.com"), "secret").unwrap();
    let both = receiver.wait_for(|now| now.accounts.len() == 2);
    assert!(timeout(long, both).await.unwrap().unwrap().problem.is_none());
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}carol\n")).unwrap();
    let faulty = timeout(long, receiver.wait_for(|now| now.problem.is_some())).await.unwrap().unwrap().clone();
    let line = good.lines().count() + 1;
    assert!(faulty.problem.unwrap().contains(&format!("accounts:{line}: ")));
    assert_eq!(faulty.accounts.len(), 2);
    remove(&path, &[name("bob@example.com")]).unwrap_err();
    fs::write(&path, good).unwrap();
    remove(&path, &[name("bob@example.com")]).unwrap();
    let mended = receiver.wait_for(|now| now.problem.is_none() && now.accounts.len() == 1);
    timeout(long, mended).await.unwrap().unwrap();
    drop(receiver);
    timeout(long, followed).await.unwrap().unwrap();
}

//! The store's door (`store.pl`), run as it is on this machine: who gets the lead, what it hands out, and whom
//! it turns away. Without perl the tests say so and pass, except where CI runs.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs::{self, File, FileTimes};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/q2-restore/store.pl");

/// A store in a folder of its own, and its server; both end with the test.
struct Store {
    folder: tempfile::TempDir,
    port: u16,
    server: Child,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Store {
    /// `None` without perl.
    fn start() -> Option<Self> {
        Self::start_with_window(0)
    }

    /// One that grants no first lead until so many seconds after its start.
    fn start_with_window(seconds: u32) -> Option<Self> {
        if Command::new("perl").arg("-v").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "CI needs perl");
            println!("skipped: no perl on this machine");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["store/wal", "store/base", "run", "credentials", "wrong"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        fs::write(folder.path().join("credentials/replication-password"), "it's: a\\secret")
            .expect("written");
        fs::write(folder.path().join("wrong/replication-password"), "another").expect("written");
        let port = free_port();
        let server = perl(folder.path(), "credentials", port)
            .arg("serve")
            .env("PGK_STORE_WINDOW", seconds.to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("perl runs");
        let store = Self { folder, port, server };
        let begun = Instant::now();
        while store.ask("state").status.code() != Some(0) {
            assert!(begun.elapsed() < Duration::from_secs(20), "the store answers");
            thread::sleep(Duration::from_millis(50));
        }
        Some(store)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().expect("a folder")).expect("a folder");
        fs::write(self.path(name), text).expect("written");
    }

    fn ask_as(&self, credentials: &str, command: &str) -> Output {
        perl(self.folder.path(), credentials, self.port)
            .arg("localhost")
            .args(command.split(' '))
            .output()
            .expect("perl runs")
    }

    fn ask(&self, command: &str) -> Output {
        self.ask_as("credentials", command)
    }

    /// The answer and the exit status.
    fn answer(&self, command: &str) -> (String, i32) {
        let output = self.ask(command);
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        (text, output.status.code().expect("an exit status"))
    }

    fn says(&self, command: &str, answer: &str) {
        assert_eq!(self.answer(command).0, answer, "{command}");
    }

    /// As if nothing had been heard from the holder for 6 s.
    fn silence(&self) {
        let then = SystemTime::now() - Duration::from_secs(6);
        let alive = File::options().write(true).open(self.path("run/alive")).expect("a file");
        alive.set_times(FileTimes::new().set_modified(then)).expect("its time");
    }
}

fn perl(folder: &Path, credentials: &str, port: u16) -> Command {
    let mut perl = Command::new("perl");
    perl.arg(SCRIPT)
        .env("PGK_STORE", folder.join("store"))
        .env("PGK_RUN", folder.join("run"))
        .env("PGK_CREDENTIALS", folder.join(credentials))
        .env("PGK_STORE_PORT", port.to_string())
        .stdin(Stdio::null());
    perl
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port()
}

const WAL: &str = "000000010000000000000004";

#[test]
fn the_first_lead_goes_to_whoever_has_data() {
    let Some(store) = Store::start() else { return };
    store.says("state", "empty - - -");
    store.says("claim b 10.0.0.2 prepared 77 00000001", "wait nobody -");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    store.says("state", "filling a - sealed");
    store.says("claim b 10.0.0.2 data 77 00000001", "wait other a");
    store.says("claim a 10.0.0.1 data 88 00000001", "wait foreign 77");
    // Started again, at another address.
    store.says("claim a fd00::7 data 77 00000001", "granted -");
    assert_eq!(fs::read_to_string(store.path("store/lead")).expect("a file"), "a fd00::7 77 sealed -\n");
}

/// An old primary that was cut off when it lost the lead, and a store whose volume was lost: who asks first is
/// not who has the newest data.
#[test]
fn an_empty_store_listens_for_the_newest_data() {
    let Some(store) = Store::start_with_window(8) else { return };
    store.says("claim old 10.0.0.1 data 77 00000002", "wait window -");
    store.says("claim new 10.0.0.2 data 77 0000000A", "wait window -");
    store.says("claim old 10.0.0.1 data 77 00000002", "wait newer new");
    let begun = Instant::now();
    while store.answer("claim new 10.0.0.2 data 77 0000000A").0 != "granted -" {
        assert!(begun.elapsed() < Duration::from_secs(30), "the window ends");
        store.says("claim old 10.0.0.1 data 77 00000002", "wait newer new");
    }
    store.says("claim old 10.0.0.1 data 77 00000002", "wait other new");
}

#[test]
fn another_gets_the_lead_when_the_holder_is_silent_or_ends() {
    let Some(store) = Store::start() else { return };
    store.put(&format!("store/wal/{WAL}.partial"), "x");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    store.says("claim b 10.0.0.2 prepared 77 00000001", "wait alive a");
    store.silence();
    store.says("claim b 10.0.0.2 data 77 00000001", "wait other a");
    store.says("claim b 10.0.0.2 prepared 77 00000001", &format!("granted {WAL}"));
    // Again, as it does until it has replayed that; and nobody else for now.
    store.says("claim b 10.0.0.2 prepared 77 00000001", &format!("granted {WAL}"));
    store.says("claim a 10.0.0.1 data 77 00000001", "wait other b");
    store.says("claim a 10.0.0.1 prepared 77 00000001", "wait alive b");
    thread::scope(|scope| {
        let ending = scope.spawn(|| store.answer("ending b").0);
        let begun = Instant::now();
        while store.answer("claim a 10.0.0.1 prepared 77 00000001").0.starts_with("wait") {
            assert!(begun.elapsed() < Duration::from_secs(10), "b has said that it ends");
        }
        assert_eq!(ending.join().expect("an answer"), "another");
    });
    store.says("ending b", "another");
}

/// A receiver holds the lock as long as it lives, and does not end by itself.
#[test]
fn the_receiver_is_gone_before_the_lead_is_granted() {
    let Some(store) = Store::start() else { return };
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    let hold = "use Fcntl ':flock'; $SIG{TERM} = 'IGNORE'; open my $lock, '>>', $ARGV[0]; flock $lock, LOCK_EX; sleep 60";
    let lock = store.path("run/receiving.lock");
    let mut receiver = Command::new("perl").args(["-e", hold]).arg(lock).spawn().expect("perl runs");
    store.put("run/receiver.pid", &receiver.id().to_string());
    thread::sleep(Duration::from_millis(300));
    store.silence();
    store.says("claim b 10.0.0.2 prepared 77 00000001", "granted -");
    assert!(
        receiver.try_wait().expect("a process").is_some(),
        "nothing is received any more when b is told so"
    );
}

#[test]
fn an_unfinished_segment_is_for_the_holder_when_nothing_is_received() {
    let Some(store) = Store::start() else { return };
    store.put("store/wal/00000002.history", "1\t0/4000000\tno reason\n");
    store.put(&format!("store/wal/{WAL}.partial"), "some");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    assert_eq!(store.answer("wal 00000002.history a"), ("1\t0/4000000\tno reason".to_owned(), 0));
    assert_eq!(store.answer("wal 00000003.history a"), ("missing".to_owned(), 1));
    assert_eq!(store.answer(&format!("wal {WAL} b")), ("missing".to_owned(), 1));
    let output = store.ask(&format!("wal {WAL} a"));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout.len(), 1 << 24, "PostgreSQL takes whole segments");
    assert!(output.stdout.starts_with(b"some\0"));
    store.put("store/lead", "a 10.0.0.1 77 open -\n");
    assert_eq!(store.answer(&format!("wal {WAL} a")), ("missing".to_owned(), 1));
    fs::remove_dir_all(store.path("store/wal")).expect("removed");
    assert_eq!(store.answer(&format!("wal {WAL} a")).1, 2, "a lost volume is no missing file");
}

#[test]
fn the_newest_base_is_a_whole_stream() {
    let Some(store) = Store::start() else { return };
    assert_eq!(store.answer("base"), ("missing".to_owned(), 1));
    store.put("store/base/20260101T000000Z-000000010000000000000002/PG_VERSION", "old");
    store.put("store/base/20260102T000000Z-000000010000000000000003/PG_VERSION", "new");
    store.put("store/base/base.new/PG_VERSION", "in the making");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    store.says("state", "ready a - sealed");
    let output = store.ask("base");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("./PG_VERSION") && text.contains("new") && !text.contains("old"));
}

/// Only where there is nothing better to restore from.
#[test]
fn a_human_may_choose_a_replica_while_there_is_no_base() {
    let Some(store) = Store::start() else { return };
    store.put(&format!("store/wal/{WAL}"), "x");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    store.says("claim b 10.0.0.2 chosen 77 00000001", "wait other a");
    store.silence();
    store.says("claim b 10.0.0.2 chosen 77 00000001", "granted -");
    assert!(!store.path(&format!("store/wal/{WAL}")).exists(), "no base needs it");
    store.put("store/base/20260102T000000Z-000000010000000000000003/PG_VERSION", "new");
    store.silence();
    store.says("claim c 10.0.0.3 chosen 77 00000001", "wait other b");
}

#[test]
fn strangers_and_strange_commands_get_nothing() {
    let Some(store) = Store::start() else { return };
    let output = store.ask_as("wrong", "state");
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
    for command in [
        "wal ../lead a",
        "wal 00000002.history ../a",
        "claim a;id 10.0.0.1 data 77 00000001",
        "claim a $(id) data 77 00000001",
        "claim a 10.0.0.1 king 77 00000001",
        "claim a 10.0.0.1 data x 00000001",
        "claim a 10.0.0.1 data 77 1",
        "bases",
    ] {
        let (answer, status) = store.answer(command);
        assert!(answer.starts_with("error ") && status == 2, "{command}: {answer}");
    }
    // One who does not know the password, or says nothing that can be read, is only let go.
    let mut caller = TcpStream::connect(("127.0.0.1", store.port)).expect("a connection");
    caller.write_all(&[b'x'; 5000]).expect("written");
    store.says("state", "empty - - -");
}

/// The client tells a stream that was cut, and a server that is no store, from an answer.
#[test]
fn the_client_trusts_no_impostor() {
    let Some(store) = Store::start() else { return };
    let door = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = door.local_addr().expect("its number").port();
    let impostor = thread::spawn(move || {
        let (mut caller, _) = door.accept().expect("a caller");
        writeln!(caller, "pgk {}", "0".repeat(32)).expect("written");
        let mut asked = String::new();
        BufReader::new(caller.try_clone().expect("a handle")).read_line(&mut asked).expect("a line");
        writeln!(caller, "{} granted -", "0".repeat(64)).expect("written");
    });
    let output = perl(store.folder.path(), "credentials", port)
        .args(["localhost", "claim", "a", "10.0.0.1", "prepared", "77", "00000001"])
        .output()
        .expect("perl runs");
    impostor.join().expect("it was asked");
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
}

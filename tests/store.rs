//! The store's door (`store.pl`), run as it is on this machine: who gets the lead, what it hands out, and whom
//! it turns away.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "support/untried.rs"]
mod untried;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/store/store.pl");

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
        if !untried::tool("perl") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["store/wal", "store/base", "run", "credentials", "wrong"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        // No other store's, should one have got hold of the same port.
        let password = format!("it's: a\\secret {}", folder.path().display());
        fs::write(folder.path().join("credentials/replication-password"), password).expect("written");
        fs::write(folder.path().join("wrong/replication-password"), "another").expect("written");
        let port = free_port();
        let mut store = Self { server: serve(folder.path(), port, seconds), folder, port };
        let begun = Instant::now();
        while store.ask("state").status.code() != Some(0) {
            assert!(begun.elapsed() < Duration::from_secs(20), "the store answers");
            if store.server.try_wait().expect("a process").is_some() {
                // Somebody else took the port before it did.
                store.port = free_port();
                store.server = serve(store.folder.path(), store.port, seconds);
            }
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

    /// As if nothing had been heard from the holder since the machine was started.
    fn silence(&self) {
        self.put("run/alive", "1\n");
    }
}

fn perl(folder: &Path, credentials: &str, port: u16) -> Command {
    let mut perl = Command::new("perl");
    perl.arg(SCRIPT)
        .env("PGK_STORE", folder.join("store"))
        .env("PGK_RUN", folder.join("run"))
        .env("PGK_CREDENTIALS", folder.join(credentials))
        .env("PGK_STORE_PORT", port.to_string())
        .env(
            "PATH",
            format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap_or_default()),
        )
        .stdin(Stdio::null());
    perl
}

/// The store's server, on that port. It ends if it cannot have it.
fn serve(folder: &Path, port: u16, window: u32) -> Child {
    perl(folder, "credentials", port)
        .arg("serve")
        .env("PGK_STORE_WINDOW", window.to_string())
        .stdout(Stdio::null())
        .spawn()
        .expect("perl runs")
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
    store.says("claim a fd00::7 data 77 00000001", "granted - -");
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
    let hold = "use Fcntl ':flock'; $SIG{TERM} = 'IGNORE'; open my $lock, '>>', $ARGV[0]; flock $lock, LOCK_EX; syswrite STDOUT, qq(held\n); sleep 60";
    let lock = store.path("run/receiving.lock");
    let mut receiver =
        Command::new("perl").args(["-e", hold]).arg(lock).stdout(Stdio::piped()).spawn().expect("perl runs");
    store.put("run/receiver.pid", &receiver.id().to_string());
    let mut said = String::new();
    BufReader::new(receiver.stdout.take().expect("a pipe")).read_line(&mut said).expect("a line");
    assert_eq!(said, "held\n");
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

/// So that a primary whose disk lost WAL does not go on without it.
#[test]
fn the_holder_is_told_where_the_wal_ends() {
    let Some(store) = Store::start() else { return };
    let says = "#!/bin/sh\ncase $2 in */000000010000000000000005) echo 'pg_waldump: error: no valid record' >&2; exit 1 ;;\n\
        */000000010000000000000004) echo 'WAL statistics between 0/4000028 and 0/4ABCDE8:' ;; esac\n";
    store.put("bin/pg_waldump", says);
    fs::set_permissions(store.path("bin/pg_waldump"), fs::Permissions::from_mode(0o755)).expect("executable");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted - -");
    store.put(&format!("store/wal/{WAL}"), "x");
    store.put("store/wal/000000010000000000000005.partial", "part of a record");
    store.put("store/wal/000000010000000000000006.partial", "");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted - 0/4ABCDE8");
    // Its timeline is newer than anything here.
    store.says("claim a 10.0.0.1 data 77 00000002", "granted - -");
}

/// A standby that still needs what was pruned would wait for it for ever.
#[test]
fn wal_that_was_pruned_is_gone() {
    let Some(store) = Store::start() else { return };
    store.put("store/wal/000000010000000000000006", "x");
    store.put("store/wal/000000020000000000000009.partial", "x");
    assert_eq!(store.answer(&format!("wal {WAL} a")), ("gone".to_owned(), 3));
    assert_eq!(store.answer("wal 000000010000000000000007 a"), ("missing".to_owned(), 1));
    assert_eq!(store.answer("wal 000000020000000000000008 a"), ("missing".to_owned(), 1));
    assert_eq!(store.answer("wal 00000001.history a"), ("missing".to_owned(), 1));
}

/// A successor that copies a large base is waited for.
#[test]
fn who_ends_hears_that_another_prepares() {
    let Some(store) = Store::start() else { return };
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    store.put("store/base/20260102T000000Z-000000010000000000000003/PG_VERSION", "new");
    let begun = Instant::now();
    thread::scope(|scope| {
        let ending = scope.spawn(|| store.answer("ending a").0);
        while !ending.is_finished() {
            store.ask("base");
            thread::sleep(Duration::from_secs(2));
        }
        assert_eq!(ending.join().expect("an answer"), "preparing");
    });
    assert!(begun.elapsed() > Duration::from_secs(20));
}

/// Silent callers keep nobody out, not even from their own address.
#[test]
fn silent_callers_do_not_keep_the_members_out() {
    let Some(store) = Store::start() else { return };
    let callers = "use IO::Socket::IP; $| = 1; my @all = map { IO::Socket::IP->new(LocalHost => '127.0.0.2', PeerHost => '127.0.0.1', PeerPort => $ARGV[0]) } 1 .. 100; print qq(there\n); sleep 60";
    let mut silent = Command::new("perl")
        .args(["-e", callers, &store.port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("perl runs");
    let mut said = String::new();
    BufReader::new(silent.stdout.take().expect("a pipe")).read_line(&mut said).expect("a line");
    assert_eq!(said, "there\n");
    store.says("state", "empty - - -");
    silent.kill().expect("it ends");
    silent.wait().expect("it ended");
}

/// A full volume must not keep anybody from the lead: there is a reserve.
#[test]
fn what_cannot_be_written_is_written_in_the_place_of_the_reserve() {
    let Some(store) = Store::start() else { return };
    // A folder in the file's place, as it takes no file system for that: the reserve.
    fs::create_dir(store.path("store/lead.new")).expect("a folder");
    assert!(store.answer("claim a 10.0.0.1 data 77 00000001").0.starts_with("error"));
    store.put("store/reserve", "x");
    assert!(store.answer("claim a 10.0.0.1 data 77 00000001").0.starts_with("error"));
    assert!(!store.path("store/reserve").exists(), "its room was tried");
}

#[test]
fn the_newest_base_is_a_whole_stream() {
    let Some(store) = Store::start() else { return };
    assert_eq!(store.answer("base"), ("missing".to_owned(), 1));
    store.put("store/base/20260101T000000Z-000000010000000000000002/PG_VERSION", "old");
    // Whatever the clock said: it is the newest by its WAL.
    store.put("store/base/20250102T000000Z-000000010000000000000003/PG_VERSION", "new");
    store.put("store/base/base.new/PG_VERSION", "in the making");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    store.says("state", "ready a - sealed");
    let output = store.ask("base");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("./PG_VERSION") && text.contains("new") && !text.contains("old"));
    assert!(String::from_utf8_lossy(&store.ask("base 1").stdout).contains("old"));
    assert_eq!(store.answer("base 2"), ("missing".to_owned(), 1));
}

/// Only where there is nothing better to restore from.
#[test]
fn a_human_may_choose_a_replica_while_there_is_no_base() {
    let Some(store) = Store::start() else { return };
    store.put(&format!("store/wal/{WAL}"), "x");
    store.put("store/wal/00000002.history", "1\t0/4000000\tof another second timeline\n");
    store.says("claim a 10.0.0.1 data 77 00000001", "granted -");
    store.says("claim b 10.0.0.2 chosen 77 00000001", "wait other a");
    store.silence();
    store.says("claim b 10.0.0.2 chosen 77 00000001", "granted -");
    let left = names(&store.path("store/wal"));
    assert_eq!(left, [""; 0], "no base needs it, and histories may be of other timelines");
    store.put("store/base/20260102T000000Z-000000010000000000000003/PG_VERSION", "new");
    store.silence();
    store.says("claim c 10.0.0.3 chosen 77 00000001", "wait other b");
}

/// A program of the store up to its main loop, which begins with the line `until`, and then `script`: run in a folder that
/// stands for the volume. Whether it succeeded.
fn with_functions_of(program: &str, until: &str, folder: &Path, script: &str) -> bool {
    let text = |name: &str| {
        let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/store/");
        fs::read_to_string(format!("{templates}{name}")).expect("a template")
    };
    let program = text(program);
    let (functions, _) = program.split_once(&format!("\n{until}\n")).expect("a main loop");
    let sources = |line: &&str| !line.starts_with(". /etc/pgk/scripts/");
    let whole = text("wal.sh") + "log() { echo \"$*\"; }; say() { log \"$2\"; }\n" + functions;
    let whole = whole.lines().filter(sources).collect::<Vec<_>>().join("\n") + "\n" + script;
    let whole = whole.replace("/store/", &format!("{}/", folder.display()));
    let whole = whole.replace("/etc/pgk/scripts/store.pl", SCRIPT);
    let status = Command::new("bash").arg("-c").arg(whole).env("PGK_STORE", folder).status();
    status.expect("bash runs").success()
}

/// What is in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Where the new timeline begins decides what of the old one is received again, and what is no part of the history.
#[test]
fn the_receiver_goes_on_where_the_timelines_part() {
    if !untried::tool("perl") {
        return;
    }
    let holder = "holder_sql() { case $1 in *pg_is_in_recovery*) echo f 77 ;; IDENTIFY_SYSTEM) echo 77 2 0/0 ;; \
        TIMELINE_HISTORY*) printf '00000002.history 1\\t%s\\tno reason\\n' \"$fork_at\" ;; *) echo f ;; esac; }\n\
        name=a address=b; if prepare; then exit 0; else exit 1; fi";
    let [three, four] = ["000000010000000000000003", "000000010000000000000004"];
    let partial = |name: &str| format!("{name}.partial");
    // What is there, where the fork is, whether all is prepared then, and what is there afterwards.
    let cases = [
        (vec![three.to_owned()], "0/3FFFB60", true, vec![partial(three)]),
        (vec![three.to_owned()], "0/4000000", true, vec![partial(three)]),
        (vec![three.to_owned(), partial(four)], "0/4000000", false, vec![three.to_owned()]),
        (vec![three.to_owned(), four.to_owned()], "0/3FFFB60", false, vec![three.to_owned()]),
        (vec![three.to_owned()], "0/4000100", true, vec![three.to_owned()]),
        (vec![three.to_owned(), partial(four)], "0/4000100", true, vec![three.to_owned(), partial(four)]),
    ];
    for (there, fork, prepared, then) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let wal = folder.path().join("wal");
        fs::create_dir(&wal).expect("a folder");
        fs::write(folder.path().join("system-id"), "77\n").expect("written");
        for name in &there {
            fs::write(wal.join(name), "").expect("written");
        }
        let script = format!("fork_at={fork}\n{holder}");
        let done = with_functions_of("receive.sh", "uptime >/tmp/received", folder.path(), &script);
        assert_eq!((done, names(&wal)), (prepared, then), "{there:?}, {fork}");
    }
}

/// Half of a base, or of a base's WAL, must not be restored.
#[test]
fn what_is_removed_is_out_of_the_way_first() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in
        ["base/20260101T000000Z-000000010000000000000002", "base/20260102T000000Z-000000010000000000000003"]
    {
        fs::create_dir_all(folder.path().join(name)).expect("a folder");
    }
    // The machine is lost while the first file is removed.
    let lost = "set +u; pg_archivecleanup() { :; }; rm() { exit 9; };";
    assert!(!with_functions_of("backup.sh", "while :; do", folder.path(), &format!("{lost} prune 1")));
    assert_eq!(names(&folder.path().join("base")), ["20260102T000000Z-000000010000000000000003"]);
    fs::create_dir_all(folder.path().join("wal")).expect("a folder");
    fs::create_dir_all(folder.path().join("before-the-gap")).expect("a folder");
    let until = "uptime >/tmp/received";
    assert!(!with_functions_of("receive.sh", until, folder.path(), &format!("{lost} begin_afresh")));
    assert_eq!(names(&folder.path().join("base")), [""; 0]);
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

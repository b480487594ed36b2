//! Programs run with a limit of time, and waits that end.

use std::cell::Cell;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

thread_local! {
    /// The end of the wait that this thread is in: a program that it runs meanwhile does not outlast it.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// So many seconds.
pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How long a program may take that only asks or tells the API server something.
pub(crate) const SOON: Duration = Duration::from_secs(40);

/// What a program printed that ended well.
pub(crate) struct Printed {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `command` with `input`, for at most `limit`. An end other than 0 is an error that tells all about it.
pub(crate) fn run(command: &mut Command, input: &str, limit: Duration) -> Result<Printed, String> {
    let (status, printed) = output(command, input, limit)?;
    let Printed { stdout, stderr } = &printed;
    if status.success() { Ok(printed) } else { Err(format!("{command:?}: {status}\n{stdout}{stderr}")) }
}

/// The same, whatever its end.
pub(crate) fn output(
    command: &mut Command,
    input: &str,
    limit: Duration,
) -> Result<(ExitStatus, Printed), String> {
    let name = format!("{command:?}");
    let failed = |what: &dyn Display| format!("{name}: {what}");
    // Files rather than pipes: whatever inherits them cannot keep us waiting.
    let mut files = [(); 3].map(|()| tempfile::tempfile().expect("a temporary file"));
    files[0].write_all(input.as_bytes()).and_then(|()| files[0].rewind()).expect("write a temporary file");
    let [stdin, stdout, stderr] = files.each_ref().map(|file| file.try_clone().expect("a file descriptor"));
    let mut child =
        command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().map_err(|error| failed(&error))?;
    let deadline = until(limit);
    let ended: Option<ExitStatus> = loop {
        match child.try_wait().map_err(|error| failed(&error))? {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => {
                child.kill().and_then(|()| child.wait()).map_err(|error| failed(&error))?;
                break None;
            }
            None => sleep(Duration::from_millis(10)),
        }
    };
    let [_, stdout, stderr] = files.map(text_of);
    match ended {
        Some(status) => Ok((status, Printed { stdout, stderr })),
        None => Err(failed(&format!("not done in time\n{stdout}{stderr}"))),
    }
}

/// What a file holds that a program has written.
fn text_of(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("read a temporary file");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until `probe` succeeds, and fails the test with its last answer when `limit` has passed.
pub(crate) fn eventually<T>(what: &str, limit: Duration, probe: impl FnMut() -> Result<T, String>) -> T {
    match within(limit, probe) {
        Ok(value) => value,
        Err(last) => panic!("{what}: not within {limit:?}. At last: {last}"),
    }
}

/// Waits until `probe` succeeds, not later than `limit`; else its last failure, and the one before: the end of the
/// limit ends the program of the last.
pub(crate) fn within<T>(limit: Duration, mut probe: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let wait = Wait::begin(limit);
    let mut before = String::new();
    loop {
        let outcome = probe();
        let late = Instant::now() > wait.deadline;
        match outcome {
            Ok(_) if late => return Err("it succeeded, but too late".to_owned()),
            Err(last) if late && before.is_empty() => return Err(last),
            Err(last) if late => return Err(format!("{last}\nbefore that: {before}")),
            Err(last) => {
                before = last;
                sleep(Duration::from_millis(300));
            }
            success => return success,
        }
    }
}

/// The end of a limit that begins now, or of the wait that this thread is in.
fn until(limit: Duration) -> Instant {
    let end = Instant::now() + limit;
    DEADLINE.get().map_or(end, |outer| outer.min(end))
}

/// A wait that this thread is in.
struct Wait {
    deadline: Instant,
    outer: Option<Instant>,
}

impl Wait {
    fn begin(limit: Duration) -> Self {
        let deadline = until(limit);
        Self { deadline, outer: DEADLINE.replace(Some(deadline)) }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        DEADLINE.set(self.outer);
    }
}

/// What is done at the end of a test: if it fails, the test fails, unless it has failed already.
pub(crate) fn at_the_end(what: &str, done: Result<(), String>) {
    if let Err(error) = done {
        assert!(std::thread::panicking(), "{what}: {error}");
        println!("{what}: {error}");
    }
}

/// Success if `condition` holds, else what was observed: for [`eventually`].
pub(crate) fn expect(condition: bool, observed: impl Display) -> Result<(), String> {
    if condition { Ok(()) } else { Err(observed.to_string()) }
}

/// Seconds, as the measurements are printed.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_in_time() {
        let begin = Instant::now();
        let limit = Duration::from_millis(400);
        let sleeps = |seconds| run(Command::new("sleep").arg(seconds), "", SOON).map(drop);
        assert!(within(limit, || sleeps("20")).is_err_and(|last| last.contains("not done in time")));
        assert!(within(limit, || within(SOON, || sleeps("20"))).is_err());
        assert!(begin.elapsed() < secs(5), "{:?}", begin.elapsed());
        // A success that comes too late is none.
        let late = within(limit, || {
            sleep(Duration::from_millis(450));
            Ok(())
        });
        assert!(late.is_err());
        // And what comes after a wait has its own limit.
        sleeps("0.5").expect("it ends");
        let mut looks = 0;
        let third = within(secs(20), || {
            looks += 1;
            expect(looks == 3, looks)
        });
        assert_eq!((third, looks), (Ok(()), 3));
    }

    #[test]
    fn an_end_other_than_0_is_an_error() {
        let mut fails = Command::new("sh");
        fails.args(["-c", "echo out; cat; echo err >&2; exit 3"]);
        let (status, printed) = output(&mut fails, "in\n", SOON).expect("it ends");
        assert_eq!((status.code(), &*printed.stdout, &*printed.stderr), (Some(3), "out\nin\n", "err\n"));
        let error = run(&mut fails, "", SOON).err().expect("an error");
        assert!(error.contains("exit status: 3\nout\nerr\n"), "{error}");
    }

    #[test]
    fn what_is_not_made_whole_fails_the_test() {
        at_the_end("fine", Ok(()));
        assert!(std::panic::catch_unwind(|| at_the_end("not whole", Err("why".to_owned()))).is_err());
    }
}

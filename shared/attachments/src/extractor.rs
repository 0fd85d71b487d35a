//! Extracting in a child process: a crafted file can end it, and nothing else.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::{
    child,
    extract::{Extracted, extract},
    kind::FileKind,
};

/// Time for one file. It passes in the real world: on a function of 512 MB, a second of the processor takes about three.
const FILE_TIME: Duration = Duration::from_secs(20);
/// The program of this process, also if its file was replaced since.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// One child at a time, because the limit of its memory is that of a part of the function's.
static TURN: Semaphore = Semaphore::const_new(1);

/// Extracts the content of files in child processes with limited memory, time and output. Cheap to clone.
///
/// The child is a process of the same program, so no other file is deployed. A program that extracts therefore begins its
/// `main` with [`Extractor::of_this_program`].
#[derive(Debug, Clone)]
pub struct Extractor(Place);

/// The place of the extraction.
#[derive(Debug, Clone)]
enum Place {
    Child { program: PathBuf, arguments: Vec<String> },
    ThisProcess,
}

/// A file cannot be read. The text is for models and people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("it is damaged, encrypted, too large or of another type than it claims")]
    Damaged,
    /// A signal ended the child.
    #[error("reading it takes more memory or time than is allowed")]
    Ended(ExitStatus),
    #[error("reading it takes more memory or time than is allowed")]
    TimedOut,
    /// The cause is not the file.
    #[error("the server could not read it")]
    Failed(#[source] io::Error),
}

impl Extractor {
    /// Makes the extractor of a program. This must be the first call in `main`: if the process was started as a child, it
    /// extracts here and exits.
    #[must_use]
    pub fn of_this_program() -> Self {
        child::serve_if_child();
        Self::of_program(THIS_PROGRAM)
    }

    /// Makes an extractor whose children are processes of another program, which begins with
    /// [`Extractor::of_this_program`].
    #[must_use]
    pub fn of_program(program: impl Into<PathBuf>) -> Self {
        Self(Place::Child { program: program.into(), arguments: Vec::new() })
    }

    /// Makes an extractor without a child and without its limits, for tests and tools whose files are known.
    #[must_use]
    pub const fn in_this_process() -> Self {
        Self(Place::ThisProcess)
    }

    /// Extracts the content of a file of this kind before `deadline`.
    pub(crate) async fn extract(
        &self,
        kind: FileKind,
        bytes: Bytes,
        deadline: Instant,
    ) -> Result<Extracted, Error> {
        let size = bytes.len();
        let extracted = match &self.0 {
            Place::Child { program, arguments } if kind != FileKind::Text => {
                extract_in_child(program, arguments, kind, bytes, deadline).await
            }
            // Text needs no child: its beginning is decoded in one pass.
            Place::Child { .. } | Place::ThisProcess => extract_here(kind, bytes).await,
        };
        extracted.inspect_err(|error| match error {
            Error::Damaged => {}
            error => tracing::warn!(?kind, size, ?error, "could not read an attached file; it is not shown"),
        })
    }
}

async fn extract_in_child(
    program: &Path,
    arguments: &[String],
    kind: FileKind,
    bytes: Bytes,
    deadline: Instant,
) -> Result<Extracted, Error> {
    let turn = timeout_at(deadline, TURN.acquire()).await;
    let _turn = turn.map_err(|_| Error::TimedOut)?;
    let limit = deadline.min(Instant::now() + FILE_TIME);
    let ended = timeout_at(limit, exchange(program, arguments, kind, bytes)).await;
    let (status, output) = ended.map_err(|_| Error::TimedOut)?.map_err(Error::Failed)?;
    judge(status, output)
}

async fn extract_here(kind: FileKind, bytes: Bytes) -> Result<Extracted, Error> {
    let extracted = spawn_blocking(move || extract(kind, bytes)).await;
    extracted.map_err(|error| Error::Failed(error.into()))?.ok_or(Error::Damaged)
}

/// Sends a file to a child and receives its output. If this future is dropped, the child is killed.
async fn exchange(
    program: &Path,
    arguments: &[String],
    kind: FileKind,
    bytes: Bytes,
) -> io::Result<(ExitStatus, Vec<u8>)> {
    let mut child = child::command(program, arguments, kind).spawn()?;
    let mut input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let send = async move {
        // A child that has failed does not read on. Its status tells.
        let _ = input.write_all(&bytes).await;
    };
    let receive = async move {
        let mut received = Vec::new();
        // Then the output is closed, which ends a child that writes more.
        output.take(child::MAX_OUTPUT as u64).read_to_end(&mut received).await?;
        io::Result::Ok(received)
    };
    let received = tokio::join!(send, receive).1?;
    Ok((child.wait().await?, received))
}

/// Decides about the end of a child.
fn judge(status: ExitStatus, output: Vec<u8>) -> Result<Extracted, Error> {
    // A lack of memory, a full stack and the end of the processor time are signals. A panic of a reader is an exit.
    if status.signal().is_some() {
        return Err(Error::Ended(status));
    }
    if !status.success() {
        return Err(Error::Damaged);
    }
    child::decode(output).map_err(Error::Failed)?.ok_or(Error::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::FileText;
    use futures::future::Either;
    use std::pin::pin;

    /// An extractor whose child is a shell with this script.
    fn shell(script: &str) -> Extractor {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        Extractor(Place::Child { program: "/bin/sh".into(), arguments })
    }

    async fn extracted(extractor: &Extractor, time: Duration) -> Result<Extracted, Error> {
        let bytes = Bytes::from(vec![0; 1 << 20]);
        extractor.extract(FileKind::Docx, bytes, Instant::now() + time).await
    }

    const AMPLE: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_child_is_killed_when_its_extraction_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let written = folder.path().join("pid");
        let hanging = shell(&format!("echo $$ > {}; exec sleep 600", written.display()));
        let started = async {
            loop {
                let pid = std::fs::read_to_string(&written).unwrap_or_default();
                match pid.trim().parse::<u32>() {
                    Ok(pid) => return pid,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let pid = {
            let extraction = pin!(extracted(&hanging, AMPLE));
            match futures::future::select(extraction, pin!(started)).await {
                Either::Left((ended, _)) => panic!("{ended:?}"),
                // The extraction is dropped here, as by a cancellation.
                Either::Right((pid, _)) => pid,
            }
        };
        // The state `Z` is that of a process that has ended, and is removed by the runtime.
        let runs =
            || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while runs() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_child_that_hangs_is_given_up_at_the_deadline() {
        let refused = extracted(&shell("exec sleep 600"), Duration::from_millis(100)).await;
        assert!(matches!(refused, Err(Error::TimedOut)), "{refused:?}");
    }

    #[tokio::test]
    async fn a_child_that_writes_without_end_is_cut() {
        let refused = extracted(&shell("exec yes"), AMPLE).await;
        assert!(matches!(refused, Err(Error::Ended(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn the_end_of_a_child_tells_the_reason() {
        let by_signal = extracted(&shell("kill -SEGV $$"), AMPLE).await;
        assert!(matches!(by_signal, Err(Error::Ended(_))), "{by_signal:?}");
        let by_panic = extracted(&shell("exit 101"), AMPLE).await;
        assert!(matches!(by_panic, Err(Error::Damaged)), "{by_panic:?}");
        let silent = extracted(&shell("exit 0"), AMPLE).await;
        assert!(matches!(silent, Err(Error::Failed(_))), "{silent:?}");
        let missing = extracted(&Extractor::of_program("/no/such/program"), AMPLE).await;
        assert!(matches!(missing, Err(Error::Failed(_))), "{missing:?}");
    }

    #[tokio::test]
    async fn a_child_has_no_environment() {
        let script =
            r#"printf '{"text":{"missing":""}}\n%s' "$AWS_SECRET_ACCESS_KEY$HOME$CARGO_MANIFEST_DIR""#;
        let extracted = extracted(&shell(script), AMPLE).await.unwrap();
        assert_eq!(extracted, Extracted::Text(FileText::default()));
    }
}

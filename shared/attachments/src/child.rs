//! The child process that extracts: it limits itself, reads one file from its input and writes the content to its output.
//!
//! The output is a line of JSON and the bytes that it describes. The child has no environment, so it has no credentials.

use std::{
    env,
    ffi::OsStr,
    io::{self, Read, Write},
    path::Path,
    process::{Stdio, exit},
};

use rustix::process::{Resource, Rlimit, setrlimit};
use sequent_model::{FileBytes, FileType};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    MAX_FILE_BYTES,
    extract::{Extracted, FileText, extract},
    kind::FileKind,
    pdf::PdfText,
};

/// The first argument of the child. The second one is the media type of the file.
const ARGUMENT: &str = "extract-attachment";
/// Bytes of memory that the child may take. A function has 512 MB, of which the child takes this once: the limit counts what can be
/// written, and not the code, whose size differs between builds.
const MAX_MEMORY: u64 = 256 << 20;
/// Processor time of the child in seconds. It also ends a child whose parent was killed.
const MAX_CPU: u64 = 10;
/// Bytes of output that the parent reads: a scaled image, or a text.
pub(crate) const MAX_OUTPUT: usize = 4 << 20;

/// The line before the bytes of the output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutputHead {
    Image { media_type: String, tokens: u64 },
    Pdf { pages: usize, missing: String },
    Text { missing: String },
    Unreadable,
}

/// Returns the command that starts a child for a file of this kind.
pub(crate) fn command(program: &Path, arguments: &[String], kind: FileKind) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(ARGUMENT)
        .arg(kind.media_type(""))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Extracts and exits, if this process was started for that.
pub(crate) fn serve_if_child() {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_none_or(|argument| argument != ARGUMENT) {
        return;
    }
    let media_type = arguments.next().unwrap_or_default();
    exit(serve(&media_type).map_or(1, |()| 0))
}

fn serve(media_type: &OsStr) -> io::Result<()> {
    limit()?;
    let kind = media_type.to_str().and_then(FileKind::of_media_type).ok_or(io::ErrorKind::InvalidInput)?;
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    io::stdout().lock().write_all(&encode(extract(kind, bytes.into()))?)
}

/// Sets limits that this process cannot raise again.
fn limit() -> io::Result<()> {
    for (resource, most) in [
        (Resource::Data, MAX_MEMORY),
        (Resource::Cpu, MAX_CPU),
        // No dump of a file that ends the process, and no file at all.
        (Resource::Core, 0),
        (Resource::Fsize, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

fn encode(extracted: Option<Extracted>) -> io::Result<Vec<u8>> {
    let (head, body) = match extracted {
        Some(Extracted::Image(image)) => {
            let media_type = image.file_type.media_type().to_owned();
            (OutputHead::Image { media_type, tokens: image.tokens }, image.bytes().to_vec())
        }
        Some(Extracted::Pdf(PdfText { pages, text: FileText { text, missing } })) => {
            (OutputHead::Pdf { pages, missing }, text.into_bytes())
        }
        Some(Extracted::Text(FileText { text, missing })) => {
            (OutputHead::Text { missing }, text.into_bytes())
        }
        None => (OutputHead::Unreadable, Vec::new()),
    };
    let mut output = serde_json::to_vec(&head)?;
    output.push(b'\n');
    output.extend(body);
    Ok(output)
}

/// Reads the output of a child that has ended well. It contains `None` if the file cannot be read.
///
/// # Errors
/// If the output is not one that [`encode`] makes.
pub(crate) fn decode(mut output: Vec<u8>) -> io::Result<Option<Extracted>> {
    let end = memchr::memchr(b'\n', &output).ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = output.split_off(end + 1);
    let head: OutputHead = serde_json::from_slice(&output)?;
    Ok(Some(match head {
        OutputHead::Image { media_type, tokens } => {
            Extracted::Image(FileBytes::new(image_type(&media_type)?, body).with_tokens(tokens))
        }
        OutputHead::Pdf { pages, missing } => {
            Extracted::Pdf(PdfText { pages, text: file_text(body, missing)? })
        }
        OutputHead::Text { missing } => Extracted::Text(file_text(body, missing)?),
        OutputHead::Unreadable => return Ok(None),
    }))
}

fn file_text(body: Vec<u8>, missing: String) -> io::Result<FileText> {
    let text = String::from_utf8(body).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(FileText { text, missing })
}

fn image_type(media_type: &str) -> io::Result<FileType> {
    match FileKind::of_media_type(media_type) {
        Some(FileKind::Shown(file_type)) if file_type.is_image() => Ok(file_type),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let text = |text: &str| FileText { text: text.to_owned(), missing: "The end.".to_owned() };
        for extracted in [
            Some(Extracted::Image(FileBytes::new(FileType::Webp, &b"a\nb"[..]).with_tokens(7))),
            Some(Extracted::Pdf(PdfText { pages: 3, text: text("[page 1]\nTides\n") })),
            Some(Extracted::Text(text(""))),
            None,
        ] {
            assert_eq!(decode(encode(extracted.clone()).unwrap()).unwrap(), extracted);
        }
        for output in ["", "{}", "\n", "{\"image\":{\"media_type\":\"application/pdf\",\"tokens\":1}}\nx"] {
            assert!(decode(output.into()).is_err(), "{output}");
        }
    }

    #[test]
    fn every_kind_of_file_has_a_media_type_that_names_it() {
        for kind in [
            FileKind::Shown(FileType::Png),
            FileKind::Shown(FileType::Jpeg),
            FileKind::Shown(FileType::Gif),
            FileKind::Shown(FileType::Webp),
            FileKind::Shown(FileType::Pdf),
            FileKind::Docx,
            FileKind::Html,
            FileKind::Text,
        ] {
            assert_eq!(FileKind::of_media_type(&kind.media_type("")), Some(kind));
        }
    }
}

//! Showing files to a model, within its abilities and limits.

use super::*;

#[tokio::test]
async fn a_model_is_shown_what_it_can_read_and_told_of_the_rest() {
    let bench = Bench::new().await;
    let document = pdf(&["The tides of Brest."]);
    let image = bench.upload("image", "image/jpeg", png(3)).await;
    let large = bench.upload("large", "image/png", png(2_500)).await;
    let report = bench.upload("report", "application/pdf", document.clone()).await;
    let letter =
        bench.upload("letter", "application/octet-stream", docx("<w:p><w:t>Dear all.</w:t></w:p>")).await;
    let page = bench.upload("page", "text/html", "<h1>Tides</h1><script>x</script>").await;
    let notes = bench.upload("notes", "text/markdown", b"\xff\xfe#\0 \0T\0".to_vec()).await;
    let files = [&image, &large, &report, &letter, &page, &notes];

    let parts = bench.shown(&files, ALL).await;
    assert_eq!(bytes(&parts[0]), Some((FileType::Png, png(3).as_slice())), "the type is that of the bytes");
    assert_eq!(bytes(&parts[1]).unwrap().0, FileType::Jpeg, "it is scaled down");
    assert_eq!(bytes(&parts[2]), Some((FileType::Pdf, document.as_slice())));
    assert_eq!(text(&parts[3]), "[attached: letter]\n<document>\nDear all.\n\n</document>");
    assert_eq!(text(&parts[4]), "[attached: page]\n<document>\n# Tides\n</document>");
    assert_eq!(text(&parts[5]), "[attached: notes]\n<document>\n# T\n</document>");

    let parts = bench.shown(&files, NOTHING).await;
    assert!(text(&parts[0]).contains("You cannot see images"), "{parts:?}");
    assert!(text(&parts[2]).contains("[page 1]\nThe tides of Brest."), "{parts:?}");
}

#[tokio::test]
async fn a_deleted_or_damaged_file_becomes_a_note() {
    let bench = Bench::new().await;
    let deleted = bench.upload("deleted", "image/png", PNG).await;
    bench.artifacts.delete(bench.caller.tenant, deleted.id).await.unwrap();
    let damaged = bench.upload("damaged", "image/png", [0_u8, 159, 146, 150]).await;
    let cut = bench.upload("cut", "image/png", &png(3)[..40]).await;
    let parts = bench.shown(&[&deleted, &damaged, &cut], ALL).await;
    assert!(text(&parts[0]).starts_with("[attached: deleted]\n(The file was deleted"), "{parts:?}");
    assert!(text(&parts[1]).starts_with("[attached: damaged]\n(The file cannot be read"), "{parts:?}");
    assert!(
        text(&parts[2]).starts_with("[attached: cut]\n(The file cannot be read: it is damaged"),
        "{parts:?}"
    );
}

#[tokio::test]
async fn the_latest_files_are_shown_once_and_the_others_are_described() {
    let bench = Bench::new().await;
    let mut images = Vec::new();
    for number in 1..=22 {
        images.push(bench.upload(&format!("{number}"), "image/png", png(number)).await);
    }
    let files: Vec<&Artifact> = images.iter().chain([&images[21]]).collect();
    let parts = bench.shown(&files, ALL).await;
    let shown: Vec<bool> = parts.iter().map(|part| bytes(part).is_some()).collect();
    let expected: Vec<bool> = (0..23).map(|at| (2..=20).contains(&at) || at == 22).collect();
    assert_eq!(shown, expected);
    assert!(text(&parts[0]).contains("not shown again"), "{:?}", parts[0]);
    assert!(text(&parts[21]).contains("further below"), "{:?}", parts[21]);
}

#[tokio::test]
async fn files_have_at_most_so_many_bytes_together() {
    let bench = Bench::new().await;
    // Bytes after the end of a PDF do not matter to its readers.
    let document = pdf(&["The tides."]);
    let large = |number: u8| [document.clone(), b"\n%".to_vec(), vec![number + b'a'; 4_400_000]].concat();
    let mut documents = Vec::new();
    for number in 0..6 {
        documents.push(bench.upload("pdf", "application/pdf", large(number)).await);
    }
    let files: Vec<&Artifact> = documents.iter().collect();
    let parts = bench.shown(&files, ALL).await;
    let shown = parts.iter().filter(|part| bytes(part).is_some()).count();
    assert_eq!(shown, 3, "14 MB have room for three of 4.4 MB");
    assert!(bytes(&parts[5]).is_some(), "the latest one is shown");
}

/// Shows files to a model that has this many tokens for them.
async fn shown_within(bench: &Bench, files: &[&Artifact], tokens: u64) -> Vec<Part> {
    let mut messages: Vec<Message> = files.iter().map(|file| attaching(file)).collect();
    bench.files().show(&mut messages, ALL, tokens).await.unwrap();
    messages.into_iter().flat_map(|message| message.parts).collect()
}

#[tokio::test]
async fn files_take_no_more_tokens_than_are_left() {
    let bench = Bench::new().await;
    let pages = vec!["The tides of Brest."; 30];
    let report = bench.upload("report", "application/pdf", pdf(&pages)).await;
    let table = bench.upload("table", "text/csv", "12,34;".repeat(30_000)).await;
    let image = bench.upload("image", "image/png", png(3)).await;
    let files = [&report, &table, &image];
    for left in [0, 50, 300, 5_000, 40_000, 100_000, 300_000] {
        let parts = shown_within(&bench, &files, left).await;
        let described: u64 = files.iter().map(|file| message_tokens(&attaching(file))).sum();
        let taken = parts.iter().map(part_tokens).sum::<u64>().saturating_sub(described);
        assert!(taken <= left, "{taken} of {left}: {parts:?}");
    }
    let parts = shown_within(&bench, &files, 200_000).await;
    assert!(
        bytes(&parts[0]).is_none() && text(&parts[0]).contains("The tides of Brest."),
        "as text: {parts:?}"
    );
    let parts = shown_within(&bench, &[&table], 5_000).await;
    assert!(text(&parts[0]).contains("[Cut: only a part of the file is shown. Only"), "{parts:?}");
}

#[tokio::test]
async fn documents_have_at_most_a_hundred_pages_together() {
    let bench = Bench::new().await;
    let first = bench.upload("first", "application/pdf", pdf(&["One."; 60])).await;
    let second = bench.upload("second", "application/pdf", pdf(&["Two."; 60])).await;
    let parts = bench.shown(&[&first, &second], ALL).await;
    assert!(text(&parts[0]).contains("One.") && bytes(&parts[1]).is_some(), "{parts:?}");
}

#[tokio::test]
async fn files_that_a_provider_refuses_become_the_latest_one_and_then_none() {
    let bench = Bench::new().await;
    let first = bench.upload("first", "image/png", png(1)).await;
    let report = bench.upload("report", "application/pdf", pdf(&["The tides."])).await;
    let last = bench.upload("last", "image/png", png(2)).await;
    let mut files = bench.files();
    let show = async |files: &mut Files| {
        let mut messages: Vec<Message> = [&first, &report, &last].map(attaching).into();
        let shown = files.show(&mut messages, ALL, u64::MAX).await.unwrap();
        (shown, messages.into_iter().flat_map(|message| message.parts).collect::<Vec<Part>>())
    };
    let (shown, parts) = show(&mut files).await;
    assert!(shown == 3 && parts.iter().all(|part| bytes(part).is_some()), "{parts:?}");
    assert!(files.refuse(shown));
    let (shown, parts) = show(&mut files).await;
    assert!(shown == 1 && bytes(&parts[2]).is_some(), "{parts:?}");
    assert!(text(&parts[0]).contains("refused") && text(&parts[1]).contains("The tides."), "{parts:?}");
    assert!(files.refuse(shown));
    let (shown, parts) = show(&mut files).await;
    assert!(text(&parts[2]).contains("refused"), "{parts:?}");
    assert!(!files.refuse(shown), "the files are not the reason");
}

//! The rules that a schema cannot express.

use std::collections::HashSet;

use serde_json::Value;

use crate::{
    Block, Chart, Document, DocumentKind, Problem, Source, Text, Website, block::Table, chart::ChartKind,
    limits as max,
};

/// Finds control characters and noncharacters in all texts except the files of a website. No export format
/// supports all of them.
pub(crate) fn characters(kind: DocumentKind, value: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(value, &mut String::new(), kind == DocumentKind::Website, &mut problems);
    problems
}

fn walk(value: &Value, pointer: &mut String, files: bool, problems: &mut Vec<Problem>) {
    let mut below = |name: &str, value: &Value, problems: &mut Vec<Problem>| {
        let length = pointer.len();
        *pointer += "/";
        *pointer += name;
        walk(value, pointer, files, problems);
        pointer.truncate(length);
    };
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| below(&at.to_string(), item, problems));
        }
        Value::Object(fields) => {
            let file = |name: &str| files && matches!(name, "content" | "base64");
            fields
                .iter()
                .filter(|(name, _)| !file(name))
                .for_each(|(name, item)| below(name, item, problems));
        }
        Value::String(text) => {
            if let Some(found) = text.chars().find(|c| !is_text(*c)) {
                let message =
                    format!("remove the character U+{:04X}: it is not allowed in texts", u32::from(found));
                problems.push(Problem { pointer: pointer.clone(), message });
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_text(c: char) -> bool {
    let noncharacter =
        matches!(u32::from(c) & 0xFFFF, 0xFFFE | 0xFFFF) || ('\u{FDD0}'..='\u{FDEF}').contains(&c);
    // Overrides can make a text look different from its content. Bidirectional text only needs isolates and
    // marks.
    let overrides = matches!(c, '\u{202A}'..='\u{202E}');
    (!c.is_control() || matches!(c, '\n' | '\t')) && !noncharacter && !overrides
}

/// Checks all other rules.
pub(crate) fn rules(document: &Document) -> Vec<Problem> {
    let mut check = Check::default();
    match document {
        Document::Report(report) => {
            check.sources(&report.sources);
            check.maybe(report.summary.as_ref(), "/abstract");
            for (at, section) in report.sections.iter().enumerate() {
                check.blocks(&section.blocks, &format!("/sections/{at}/blocks"));
            }
        }
        Document::Slides(slides) => {
            check.sources(&slides.sources);
            for (at, slide) in slides.slides.iter().enumerate() {
                check.blocks(&slide.blocks, &format!("/slides/{at}/blocks"));
                check.maybe(slide.notes.as_ref(), &format!("/slides/{at}/notes"));
            }
        }
        Document::Website(website) => check.website(website),
    }
    check.totals();
    check.problems
}

#[derive(Default)]
struct Check<'a> {
    problems: Vec<Problem>,
    sources: HashSet<&'a str>,
    blocks: usize,
    cells: usize,
    charts: usize,
}

impl<'a> Check<'a> {
    fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { pointer: pointer.into(), message: message.into() });
    }

    fn sources(&mut self, sources: &'a [Source]) {
        for (at, source) in sources.iter().enumerate() {
            if !self.sources.insert(source.id.as_str()) {
                self.add(
                    format!("/sources/{at}/id"),
                    format!("the id `{}` is used twice: ids must be unique", source.id.as_str()),
                );
            }
        }
    }

    fn maybe(&mut self, text: Option<&Text>, pointer: &str) {
        if let Some(text) = text {
            self.text(text, pointer);
        }
    }

    fn text(&mut self, text: &Text, pointer: &str) {
        for id in text.citations() {
            if !self.sources.contains(id.as_str()) {
                let message = format!(
                    "`[^{0}]` cites an unknown source: add a source with the id `{0}` to `sources`",
                    id.as_str()
                );
                self.add(pointer, message);
            }
        }
        for address in text.refused_links() {
            let address: String = address.chars().take(100).collect();
            self.add(pointer, format!("the link to `{address}` must be an absolute http or https address"));
        }
    }

    fn blocks(&mut self, blocks: &[Block], pointer: &str) {
        self.blocks += blocks.len();
        for (at, block) in blocks.iter().enumerate() {
            self.block(block, &format!("{pointer}/{at}"));
        }
    }

    fn block(&mut self, block: &Block, pointer: &str) {
        match block {
            Block::Paragraph { text } | Block::Callout { text, .. } => {
                self.text(text, &format!("{pointer}/text"))
            }
            Block::List { items, .. } => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(at, item)| self.text(item, &format!("{pointer}/items/{at}")));
            }
            Block::Quote { text, source } => {
                self.text(text, &format!("{pointer}/text"));
                self.maybe(source.as_ref(), &format!("{pointer}/source"));
            }
            Block::Table(table) => self.table(table, pointer),
            Block::Chart(chart) => self.chart(chart, pointer),
            Block::Code { .. } => {}
        }
    }

    fn table(&mut self, table: &Table, pointer: &str) {
        self.maybe(table.caption.as_ref(), &format!("{pointer}/caption"));
        let columns = table.header.len();
        self.cells += columns * (table.rows.len() + 1);
        let unequal =
            |what: &str, got: usize| format!("expected {columns} {what}, as in the header, but got {got}");
        if let Some(align) = table.align.as_ref().filter(|align| align.len() != columns) {
            self.add(format!("{pointer}/align"), unequal("alignments", align.len()));
        }
        for (at, cell) in table.header.iter().enumerate() {
            self.text(cell, &format!("{pointer}/header/{at}"));
        }
        for (at, row) in table.rows.iter().enumerate() {
            if row.len() != columns {
                self.add(format!("{pointer}/rows/{at}"), unequal("cells", row.len()));
            }
            for (column, cell) in row.iter().enumerate() {
                self.text(cell, &format!("{pointer}/rows/{at}/{column}"));
            }
        }
    }

    fn chart(&mut self, chart: &Chart, pointer: &str) {
        self.charts += 1;
        self.maybe(chart.caption.as_ref(), &format!("{pointer}/caption"));
        let labels = chart.labels.len();
        for (at, series) in chart.series.iter().enumerate() {
            let got = series.values.len();
            let place = format!("{pointer}/series/{at}/values");
            if got != labels {
                self.add(&place, format!("expected {labels} values, one for each label, but got {got}"));
            }
            if series.values.iter().all(Option::is_none) {
                self.add(place, "the series must have at least one number");
            }
        }
        match chart.kind {
            ChartKind::Pie => self.pie(chart, pointer),
            ChartKind::Scatter => {
                for (at, label) in chart.labels.iter().enumerate() {
                    let number = label.trim().parse::<f64>().ok().filter(|x| x.abs() <= max::MAGNITUDE);
                    if number.is_none() {
                        let message = "the label must be a number, such as \"1.5\": a scatter chart has numbers along x";
                        self.add(format!("{pointer}/labels/{at}"), message);
                    }
                }
            }
            ChartKind::Bar | ChartKind::StackedBar | ChartKind::Line | ChartKind::Area => {}
        }
    }

    fn pie(&mut self, chart: &Chart, pointer: &str) {
        let Some(series) = chart.series.first() else { return };
        if chart.series.len() > 1 {
            self.add(format!("{pointer}/series"), "a pie must have exactly one series");
        }
        if chart.labels.len() > max::SERIES {
            let message = format!("a pie may have at most {} slices: combine the small ones", max::SERIES);
            self.add(format!("{pointer}/labels"), message);
        }
        let values = || series.values.iter().flatten();
        if values().any(|value| *value < 0.0) || values().sum::<f64>() <= 0.0 {
            self.add(
                format!("{pointer}/series/0/values"),
                "a pie must have no negative values and a sum above zero",
            );
        }
    }

    fn website(&mut self, website: &Website) {
        let mut paths = HashSet::new();
        let mut bytes = 0_usize;
        for (at, file) in website.files.iter().enumerate() {
            bytes = bytes.saturating_add(file.content.bytes().len());
            if !paths.insert(file.path.key()) {
                let message = "the path is used twice: paths must be unique, ignoring case";
                self.add(format!("/files/{at}/path"), message);
            }
        }
        for (at, file) in website.files.iter().enumerate() {
            let key = file.path.key();
            let folders = key.match_indices('/').map(|(end, _)| &key[..end]);
            if let Some(folder) = folders.into_iter().find(|folder| paths.contains(*folder)) {
                self.add(
                    format!("/files/{at}/path"),
                    format!("`{folder}` is a file and cannot be a folder, too"),
                );
            }
        }
        if bytes > max::FILES_BYTES {
            self.add(
                "/files",
                format!("the files have {bytes} bytes together: at most {} are allowed", max::FILES_BYTES),
            );
        }
        match website.files.iter().find(|file| file.path == website.entry) {
            None => self.add("/entry", "the entry must be the path of one of the files"),
            Some(entry) if !entry.media_type.starts_with("text/html") => {
                self.add("/entry", "the entry must be a file with the media type `text/html`");
            }
            Some(_) => {}
        }
    }

    fn totals(&mut self) {
        let totals = [
            ("blocks", self.blocks, max::BLOCKS_IN_ALL),
            ("cells of tables", self.cells, max::CELLS_IN_ALL),
            ("charts", self.charts, max::CHARTS_IN_ALL),
        ];
        for (what, got, most) in totals {
            if got > most {
                self.add("", format!("the document has {got} {what}: at most {most} are allowed"));
            }
        }
    }
}

//! Output: the table and the JSON file.

use std::{io::Write, path::Path, time::SystemTime};

use serde_json::{Value, json};

/// One measurement, beside its target.
pub(crate) struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<Target>,
    note: String,
}

#[derive(Clone, Copy)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, target: None, note: String::new() }
    }

    pub(crate) fn at_most(self, target: f64) -> Self {
        Self { target: Some(Target::AtMost(target)), ..self }
    }

    pub(crate) fn at_least(self, target: f64) -> Self {
        Self { target: Some(Target::AtLeast(target)), ..self }
    }

    /// Adds a note, such as the spread and the parts of a value, so that a miss can be explained.
    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    fn verdict(&self) -> &'static str {
        match self.target {
            None => "",
            Some(Target::AtMost(most)) if self.value <= most => "PASS",
            Some(Target::AtLeast(least)) if self.value >= least => "PASS",
            Some(_) => "MISS",
        }
    }

    fn target(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::AtMost(most)) => format!("<= {}", number(most)),
            Some(Target::AtLeast(least)) => format!(">= {}", number(least)),
        }
    }

    fn json(&self) -> Value {
        let target = match self.target {
            None => Value::Null,
            Some(Target::AtMost(most)) => json!({"at_most": most}),
            Some(Target::AtLeast(least)) => json!({"at_least": least}),
        };
        let pass = self.target.map(|_| self.verdict() == "PASS");
        json!({"name": self.name, "value": self.value, "unit": self.unit, "target": target, "pass": pass, "note": self.note})
    }
}

/// All rows of one run.
pub(crate) struct Report {
    rows: Vec<Row>,
    skipped: Vec<String>,
    quick: bool,
}

impl Report {
    pub(crate) fn new(quick: bool) -> Self {
        Self { rows: Vec::new(), skipped: Vec::new(), quick }
    }

    /// Adds a row and prints it at once, because a whole run takes minutes.
    pub(crate) fn add(&mut self, row: Row) {
        let _ =
            complain(&format!("bench: {} {} {} {}", row.name, number(row.value), row.unit, row.verdict()));
        self.rows.push(row);
    }

    /// Reports something that could not be measured.
    pub(crate) fn skipped(&mut self, what: &str) {
        self.skipped.push(what.to_owned());
    }

    pub(crate) fn table(&self) -> String {
        let mut text =
            format!("\n{:<34} {:>9} {:<6} {:>9}  {:<5} detail\n", "", "measured", "", "target", "");
        for row in &self.rows {
            text += &format!(
                "{:<34} {:>9} {:<6} {:>9}  {:<5} {}\n",
                row.name,
                number(row.value),
                row.unit,
                row.target(),
                row.verdict(),
                row.note
            );
        }
        self.skipped.iter().for_each(|what| text += &format!("not measured: {what}\n"));
        text
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let document = json!({
            "at": at,
            "quick": self.quick,
            "machine": {
                "architecture": std::env::consts::ARCH,
                "processor": processor(),
                "cores": std::thread::available_parallelism().map_or(1, usize::from),
                "load": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
            },
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "not_measured": self.skipped,
        });
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, serde_json::to_string_pretty(&document)? + "\n")?)
    }
}

/// Writes a line to standard output.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// Writes a line to standard error.
pub(crate) fn complain(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stderr(), "{text}")
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.1}") }
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(String::new, |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_passes_only_within_its_target() {
        let verdict = |row: Row| row.verdict();
        assert_eq!(verdict(Row::new("a", 5.0, "ms").at_most(5.0)), "PASS");
        assert_eq!(verdict(Row::new("a", 5.1, "ms").at_most(5.0)), "MISS");
        assert_eq!(verdict(Row::new("a", 79.0, "1/s").at_least(80.0)), "MISS");
        assert_eq!(verdict(Row::new("a", 1.0, "ms")), "");
    }
}

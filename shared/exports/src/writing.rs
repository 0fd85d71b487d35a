//! Language and direction of texts, derived from their letters: a document in one language quotes others.

/// The language and direction of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writing<'a> {
    /// A BCP 47 tag.
    pub(crate) language: &'a str,
    /// Written from right to left.
    pub(crate) rtl: bool,
}

impl<'a> Writing<'a> {
    /// The writing of a document whose main language is `language`.
    pub(crate) fn of_document(language: Option<&'a str>) -> Self {
        let language = language.unwrap_or("en");
        let primary = language.split('-').next().unwrap_or(language).to_ascii_lowercase();
        let rtl =
            matches!(&*primary, "ar" | "arc" | "dv" | "fa" | "he" | "ku" | "ps" | "sd" | "ug" | "ur" | "yi");
        Self { language, rtl }
    }

    /// The writing of a text in this document, derived from the script that most of its letters belong to. If
    /// the document's own language is written in that script, the text counts as being in that language.
    pub(crate) fn of(self, text: &str) -> Self {
        let mut counts = [0_usize; 9];
        for c in text.chars().take(2_000) {
            if let Some(script) = script(c) {
                counts[script as usize] += 1;
            }
        }
        let count = |script: Script| counts[script as usize];
        // Han alone is Chinese; with Kana it is Japanese.
        let groups = [
            (count(Script::Latin), None),
            (count(Script::Arabic), Some("ar")),
            (count(Script::Hebrew), Some("he")),
            (if count(Script::Kana) > 0 { 0 } else { count(Script::Han) }, Some("zh")),
            (if count(Script::Kana) > 0 { count(Script::Kana) + count(Script::Han) } else { 0 }, Some("ja")),
            (count(Script::Hangul), Some("ko")),
            (count(Script::Cyrillic), Some("ru")),
            (count(Script::Devanagari), Some("hi")),
            (count(Script::Thai), Some("th")),
        ];
        let Some((letters, language)) = groups.into_iter().max_by_key(|(letters, _)| *letters) else {
            return self;
        };
        match language {
            Some(language) if letters > 0 && !self.may_have(language) => Writing::of_document(Some(language)),
            None if letters > 0 && !self.is_latin() => Writing::of_document(Some("en")),
            _ => self,
        }
    }

    fn is_latin(self) -> bool {
        let primary = self.primary();
        !matches!(&*primary, "zh" | "ja" | "ko" | "ru" | "uk" | "bg" | "sr" | "el" | "hi" | "th") && !self.rtl
    }

    fn may_have(self, language: &str) -> bool {
        let primary = self.primary();
        match language {
            "ar" => self.rtl && primary != "he" && primary != "yi",
            "he" => matches!(&*primary, "he" | "yi"),
            "zh" => matches!(&*primary, "zh" | "ja" | "ko"),
            "ru" => matches!(&*primary, "ru" | "uk" | "bg" | "sr" | "be" | "mk" | "kk" | "mn"),
            "hi" => matches!(&*primary, "hi" | "mr" | "ne" | "sa"),
            other => primary == other,
        }
    }

    /// The language without region and script.
    pub(crate) fn primary(self) -> String {
        self.language.split('-').next().unwrap_or_default().to_ascii_lowercase()
    }

    /// The region, if the tag names one.
    pub(crate) fn region(self) -> Option<String> {
        let alphabetic = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_alphabetic());
        self.language.split('-').skip(1).find(alphabetic).map(str::to_ascii_uppercase)
    }

    /// The value of the HTML attribute `dir`.
    pub(crate) const fn dir(self) -> &'static str {
        if self.rtl { "rtl" } else { "ltr" }
    }
}

/// A script that identifies a language. `Latin` represents all other scripts, too.
#[derive(Clone, Copy)]
enum Script {
    Latin,
    Arabic,
    Hebrew,
    Han,
    Kana,
    Hangul,
    Cyrillic,
    Devanagari,
    Thai,
}

fn script(c: char) -> Option<Script> {
    let script = match c {
        '\u{590}'..='\u{5FF}' | '\u{FB1D}'..='\u{FB4F}' => Script::Hebrew,
        '\u{600}'..='\u{8FF}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}' => Script::Arabic,
        '\u{3040}'..='\u{30FF}' => Script::Kana,
        '\u{3400}'..='\u{9FFF}' | '\u{20000}'..='\u{323AF}' => Script::Han,
        '\u{1100}'..='\u{11FF}' | '\u{AC00}'..='\u{D7A3}' => Script::Hangul,
        '\u{400}'..='\u{52F}' => Script::Cyrillic,
        '\u{900}'..='\u{97F}' => Script::Devanagari,
        '\u{E00}'..='\u{E7F}' => Script::Thai,
        c if c.is_alphabetic() => Script::Latin,
        _ => return None,
    };
    Some(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_identify_the_language() {
        let english = Writing::of_document(Some("en-GB"));
        let language = |text| english.of(text).language;
        assert_eq!(language("Sea level, 2026: 3.4 mm"), "en-GB");
        assert_eq!(language("مستوى سطح البحر"), "ar");
        assert_eq!(language("פני הים (NASA)"), "he");
        assert_eq!(language("海平面上升"), "zh");
        assert_eq!(language("海面の上昇は"), "ja");
        assert_eq!(language("해수면 상승"), "ko");
        assert_eq!(language("1234 – 😀"), "en-GB");
        assert!(english.of("مستوى").rtl && !english.of("abc").rtl);
        assert_eq!(english.region().as_deref(), Some("GB"));
    }

    #[test]
    fn a_document_keeps_its_own_language() {
        let persian = Writing::of_document(Some("fa"));
        assert_eq!(persian.of("سطح دریا"), persian);
        assert_eq!(persian.of("sea level"), Writing { language: "en", rtl: false });
        assert_eq!(Writing::of_document(Some("ja")).of("海平面").language, "ja");
        assert_eq!(Writing::of_document(None).language, "en");
    }
}

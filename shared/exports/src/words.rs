//! The few words that an export adds to a document.

use crate::writing::Writing;

/// The words in one language.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Words {
    pub(crate) summary: &'static str,
    pub(crate) contents: &'static str,
    pub(crate) sources: &'static str,
    pub(crate) accessed: &'static str,
    pub(crate) figure: &'static str,
    pub(crate) table: &'static str,
    pub(crate) notes: &'static str,
}

const fn words(all: [&'static str; 7]) -> Words {
    let [summary, contents, sources, accessed, figure, table, notes] = all;
    Words { summary, contents, sources, accessed, figure, table, notes }
}

/// Returns the words in the language of a document, or in English if they are not translated.
pub(crate) fn of(writing: Writing<'_>) -> Words {
    match &*writing.primary() {
        "ar" => words(["ملخص", "المحتويات", "المصادر", "تاريخ الاطلاع", "الشكل", "الجدول", "ملاحظات"]),
        "de" => {
            words(["Zusammenfassung", "Inhalt", "Quellen", "abgerufen am", "Abbildung", "Tabelle", "Notizen"])
        }
        "es" => words(["Resumen", "Índice", "Fuentes", "consultado el", "Figura", "Tabla", "Notas"]),
        "fr" => words(["Résumé", "Sommaire", "Sources", "consulté le", "Figure", "Tableau", "Notes"]),
        "he" => words(["תקציר", "תוכן העניינים", "מקורות", "נצפה", "איור", "טבלה", "הערות"]),
        "it" => words(["Sommario", "Indice", "Fonti", "consultato il", "Figura", "Tabella", "Note"]),
        "ja" => words(["概要", "目次", "出典", "閲覧日", "図", "表", "ノート"]),
        "ko" => words(["초록", "목차", "출처", "열람일", "그림", "표", "메모"]),
        "pt" => words(["Resumo", "Índice", "Fontes", "acedido em", "Figura", "Tabela", "Notas"]),
        "zh" => words(["摘要", "目录", "来源", "访问日期", "图", "表", "备注"]),
        _ => words(["Abstract", "Contents", "Sources", "accessed", "Figure", "Table", "Notes"]),
    }
}

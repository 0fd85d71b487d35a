//! `cite_source`: records a source of the answer.

use std::sync::Arc;

use futures::future::{self, BoxFuture, FutureExt};
use url::Url;

use crate::{Call, Citation, Effect, Error, Handler, Output, Tool, ToolKind, schema};

/// Creates the tool `cite_source`.
#[must_use]
pub fn tool() -> Tool {
    let parameters = schema::of::<Citation>();
    let description = "Records a source that your answer rests on, so that the reader can check it. Call it once for \
                       each source you use.";
    Tool {
        idempotent: true,
        ..Tool::new("cite_source", description, parameters, ToolKind::Runs(Arc::new(CiteSource)))
    }
}

struct CiteSource;

impl Handler for CiteSource {
    fn call<'a>(&'a self, mut call: Call<'a>) -> BoxFuture<'a, Result<Output, Error>> {
        future::ready(call.parse().and_then(cite)).boxed()
    }
}

fn cite(source: Citation) -> Result<Output, Error> {
    let refused =
        || Error::Refused(format!("`{}` is not an http(s) address, or it contains credentials.", source.url));
    let url = Url::parse(&source.url).map_err(|_| refused())?;
    // Readers click on the address, so `javascript:` is refused. Credentials must not be stored in the log.
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err(refused());
    }
    let content = format!("Cited: {}", source.title);
    Ok(Output { content, effects: vec![Effect::Cited(Citation { url: url.into(), ..source })] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(url: &str) -> Citation {
        Citation { url: url.into(), title: "A page".into(), quote: Some("so".into()) }
    }

    #[test]
    fn a_source_becomes_an_effect() {
        let output = cite(source("HTTPS://Example.com/a b")).unwrap();
        assert_eq!(output.content, "Cited: A page");
        assert_eq!(output.effects, [Effect::Cited(source("https://example.com/a%20b"))]);
    }

    #[test]
    fn only_web_addresses_are_accepted() {
        for url in
            ["javascript:alert(1)", "file:///etc/hostname", "data:,x", "https://a:b@c.test/", "page 3", ""]
        {
            assert!(matches!(cite(source(url)), Err(Error::Refused(_))), "{url}");
        }
    }
}

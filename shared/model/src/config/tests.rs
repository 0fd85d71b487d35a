use secrecy::ExposeSecret;

use super::*;

fn config(env: &[(&str, &str)], secrets: &str) -> Result<Config, Error> {
    let lookup = |name: &str| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Config::from_lookup(lookup, Secrets::from_json(secrets)?)
}

fn key(endpoint: &Option<Endpoint>) -> &str {
    let endpoint = endpoint.as_ref().unwrap();
    endpoint.key.as_ref().unwrap().expose_secret()
}

#[test]
fn without_keys_the_demo_answers_on_one_machine() {
    let local = ("LOCAL", "true");
    for env in [&[local][..], &[local, ("OPENAI_API_KEY", ""), ("ANTHROPIC_API_KEY", " ")]] {
        let config = config(env, r#"{"openai_api_key": "", "other": 1}"#).unwrap();
        assert!(!config.has_provider() && config.allows(&ModelName::DEMO));
        assert_eq!(config.default_model, ModelName::DEMO);
        assert_eq!(config.demo_tokens_per_second, 40);
    }
}

#[test]
fn the_demo_does_not_answer_strangers() {
    for (env, secrets) in [
        (&[][..], "{}"),
        (&[("LOCAL", "false"), ("DEFAULT_MODEL", "demo")], "{}"),
        (&[("LOCAL", "false"), ("OPENAI_API_KEY", "k")], "{}"),
        (&[][..], r#"{"anthropic_api_key": "k"}"#),
    ] {
        let config = config(env, secrets).unwrap();
        assert!(!config.allows(&ModelName::DEMO), "{env:?}");
    }
}

#[test]
fn a_model_that_is_not_listed_is_not_allowed() {
    let env = [
        ("OPENAI_API_KEY", "k"),
        ("ALLOWED_MODELS", "gpt-5*"),
        ("DEFAULT_MODEL", "gpt-4o,claude-sonnet-4-6"),
    ];
    let config = config(&env, "{}").unwrap();
    assert_eq!((config.default_model.as_str(), config.fallbacks.len()), ("gpt-4o", 1));
    for (model, is_allowed) in
        [("gpt-5.4-pro", true), ("gpt-4o", true), ("claude-sonnet-4-6", true), ("o3", false)]
    {
        assert_eq!(config.allows(&model.parse().unwrap()), is_allowed, "{model}");
    }
}

#[test]
fn the_environment_takes_precedence_over_the_secrets() {
    let secrets = r#"{"openai_api_key": "s1", "openai_base_url": "http://a/v1", "anthropic_api_key": "s2"}"#;
    let only = config(&[], secrets).unwrap();
    assert_eq!((key(&only.openai), key(&only.anthropic)), ("s1", "s2"));
    let url = |endpoint: Option<Endpoint>| endpoint.unwrap().url("chat/completions").to_string();
    assert_eq!(url(only.openai), "http://a/v1/chat/completions");
    let env = [("OPENAI_API_KEY", "e1"), ("OPENAI_BASE_URL", "http://b/v1/")];
    let both = config(&env, secrets).unwrap();
    assert_eq!((key(&both.openai), key(&both.anthropic)), ("e1", "s2"));
    assert_eq!(url(both.openai), "http://b/v1/chat/completions");
}

#[test]
fn an_address_keeps_its_query_and_has_a_domain() {
    let endpoint = Endpoint::new("https://a.openai.azure.com/openai/v1?api-version=preview", None).unwrap();
    let url = endpoint.url("chat/completions").to_string();
    assert_eq!(url, "https://a.openai.azure.com/openai/v1/chat/completions?api-version=preview");
    assert!(
        endpoint.is_at(&["api.openai.com", "openai.azure.com"])
            && !endpoint.is_at(&["azure.co", "i.azure.com"])
    );
}

#[test]
fn the_default_model_depends_on_the_keys() {
    let model = |env: &[(&str, &str)]| config(env, "{}").unwrap().default_model;
    let anthropic = ("ANTHROPIC_API_KEY", "k");
    assert_eq!(model(&[anthropic]), ANTHROPIC_DEFAULT);
    assert_eq!(model(&[anthropic, ("OPENAI_API_KEY", "k")]), OPENAI_DEFAULT);
    assert_eq!(model(&[("OPENAI_BASE_URL", "http://localhost:11434/v1")]), OPENAI_DEFAULT);
    assert_eq!(model(&[anthropic, ("DEFAULT_MODEL", "demo")]), ModelName::DEMO);
    let role = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let bedrock = [&role[..], &[("BEDROCK_MODELS", "amazon.nova-*,amazon.nova-pro-v1:0")]].concat();
    assert_eq!(model(&bedrock).as_str(), "bedrock/amazon.nova-pro-v1:0");
    assert_eq!(model(&[&bedrock[..], &[anthropic]].concat()), ANTHROPIC_DEFAULT);
}

#[test]
fn bedrock_is_used_if_its_models_or_credentials_are_named() {
    let role = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_REGION", "eu-west-1")];
    let own = [("BEDROCK_ACCESS_KEY_ID", "b"), ("BEDROCK_SECRET_ACCESS_KEY", "hidden")];
    let url = |env: &[(&str, &str)]| {
        let bedrock = config(env, "{}").unwrap().bedrock;
        bedrock.map(|endpoint| endpoint.url("model/m%3A0/converse-stream").to_string())
    };
    let at = |region: &str| {
        Some(format!("https://bedrock-runtime.{region}.amazonaws.com/model/m%3A0/converse-stream"))
    };
    assert_eq!(url(&role), None);
    assert_eq!(url(&[&role[..], &[("BEDROCK_MODELS", "amazon.nova-pro-v1:0")]].concat()), at("eu-west-1"));
    assert_eq!(url(&own), at("us-east-1"));
    let elsewhere = [&role[..], &own, &[("BEDROCK_REGION", "us-west-2")]].concat();
    assert_eq!(url(&elsewhere), at("us-west-2"));
    let other = [&own[..], &[("BEDROCK_BASE_URL", "http://localhost:9000/x/")]].concat();
    assert_eq!(url(&other), Some("http://localhost:9000/x/model/m%3A0/converse-stream".to_owned()));
    let shown = format!("{:?}", config(&elsewhere, "{}").unwrap());
    assert!(!shown.contains("hidden") && shown.contains("us-west-2"), "{shown}");
    let wrong = [&own[..], &[("BEDROCK_REGION", "eu central")]].concat();
    assert_eq!(config(&wrong, "{}").unwrap_err(), Error::Region);
}

#[test]
fn an_error_names_the_setting_and_not_its_value() {
    let cases = [
        ("OPENAI_BASE_URL", "ftp://hidden/"),
        ("OPENAI_BASE_URL", "hidden"),
        ("OPENAI_BASE_URL", "https://user:hidden@host/v1"),
        ("MODEL_IDLE_TIMEOUT_MS", "0"),
        ("MODEL_MAX_ATTEMPTS", "hidden"),
        ("DEMO_TOKENS_PER_SECOND", "-1"),
        ("DEFAULT_MODEL", "hidden hidden"),
        ("MODEL_PRICES", "[]"),
        ("MODEL_ABILITIES", r#"{"m": {"window": 5}}"#),
    ];
    for (name, value) in cases {
        let message = config(&[(name, value)], "{}").unwrap_err().to_string();
        assert!(message.contains(name) && !message.contains("hidden"), "{message}");
    }
    assert_eq!(config(&[], "sk-hidden").unwrap_err(), Error::Secrets);
}

#[test]
fn debug_output_contains_no_key() {
    let env = [("OPENAI_API_KEY", "sk-hidden"), ("ANTHROPIC_API_KEY", "sk-hidden")];
    let secrets = r#"{"openai_api_key": "sk-hidden"}"#;
    let shown = format!("{:?} {:?}", config(&env, "{}").unwrap(), Secrets::from_json(secrets));
    assert!(!shown.contains("hidden"), "{shown}");
}

use super::*;

fn cheap() -> Cost {
    Cost { memory_kib: 64, iterations: 1, parallelism: 1 }
}

fn password(text: &str) -> Password {
    Password::presented(text.to_owned().into()).unwrap()
}

#[tokio::test]
async fn the_password_matches_its_hash_and_no_other_does() {
    let hasher = Hasher::new(cheap()).unwrap();
    let stored = hasher.hash(password("correct horse")).await.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
    assert_eq!(hasher.verify(password("correct horse"), Some(&stored)).await.unwrap(), Verdict::Right);
    assert_eq!(hasher.verify(password("correct hors"), Some(&stored)).await.unwrap(), Verdict::Wrong);
    let again = hasher.hash(password("correct horse")).await.unwrap();
    assert_ne!(stored, again, "the salt is fresh each time");
}

#[tokio::test]
async fn an_unknown_account_costs_as_much_as_a_wrong_password() {
    let hasher = Hasher::new(cheap()).unwrap();
    let stored = hasher.hash(password("correct horse")).await.unwrap();
    let before = hasher.computed();
    assert_eq!(hasher.verify(password("x"), Some(&stored)).await.unwrap(), Verdict::Wrong);
    let wrong = hasher.computed() - before;
    assert_eq!(hasher.verify(password("x"), None).await.unwrap(), Verdict::Wrong);
    assert_eq!(hasher.computed() - before - wrong, wrong);

    let dummy = PasswordHash::new(&hasher.dummy).unwrap();
    let real = PasswordHash::new(&stored).unwrap();
    assert_eq!(dummy.algorithm, real.algorithm);
    assert_eq!(dummy.version, real.version);
    assert_eq!(dummy.params, real.params);
    assert_eq!(dummy.hash.unwrap().len(), real.hash.unwrap().len());
    assert_eq!(dummy.salt.unwrap().len(), real.salt.unwrap().len());
}

#[tokio::test]
async fn a_hash_of_another_cost_is_outdated_only_for_the_right_password() {
    let stored = Hasher::new(cheap()).unwrap().hash(password("correct horse")).await.unwrap();
    let stronger = Hasher::new(Cost { iterations: 2, ..cheap() }).unwrap();
    assert_eq!(stronger.verify(password("correct horse"), Some(&stored)).await.unwrap(), Verdict::Outdated);
    assert_eq!(stronger.verify(password("wrong horse"), Some(&stored)).await.unwrap(), Verdict::Wrong);
}

#[tokio::test]
async fn a_broken_hash_is_an_error_and_not_a_match() {
    let hasher = Hasher::new(cheap()).unwrap();
    for stored in ["", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "plain"] {
        assert!(hasher.verify(password("plain"), Some(stored)).await.is_err(), "{stored}");
    }
}

#[test]
fn a_new_password_is_long_enough_and_hard_to_guess() {
    let refused =
        |text: &str| Password::chosen(text.to_owned().into(), "ann.lee@example.com").expect_err(text);
    assert_eq!(refused("seven77"), Weakness::Short);
    assert_eq!(refused("ünïcödé"), Weakness::Short, "characters count, not bytes");
    assert_eq!(refused("vK7#qm\u{fdfa}"), Weakness::Short, "seven characters, whose normal form has 24");
    assert_eq!(
        refused("u\u{308}ni\u{308}q7z"),
        Weakness::Short,
        "eight characters, whose normal form has six"
    );
    for guessable in [
        "Password123",
        "P@ssw0rd!",
        "zzzzzzzzzzzz",
        "1q2w3e4r5t",
        "letmein123",
        "iloveyou2",
        "qwertyuiop",
        "01.02.1990",
        "Ann.Lee@example.com",
        "ann.lee1",
        "password123!",
        "iloveyou123",
        "qwertyuiop1",
        "Summer2026!",
        "00112233",
        "sequent2026",
        "!!Elephant99",
    ] {
        assert_eq!(refused(guessable), Weakness::Common, "{guessable}");
    }
    assert_eq!(refused("ann.lee"), Weakness::Short);
    assert_eq!(refused(&"0123456789abcdef".repeat(65)), Weakness::Long);
    for good in
        ["ein langer Satz ohne Ziffern", "correct horse battery", "vK7#qm2x", "パスワードは長い方がよい"]
    {
        assert!(Password::chosen(good.to_owned().into(), "ann@example.com").is_ok(), "{good}");
    }
}

#[tokio::test]
async fn composed_and_decomposed_characters_are_one_password() {
    let hasher = Hasher::new(cheap()).unwrap();
    let chosen = |text: &str| Password::chosen(text.to_owned().into(), "ann@example.com").unwrap();
    let composed = hasher.hash(chosen("p\u{e4}ssw\u{f6}rd korrekt")).await.unwrap();
    let decomposed = password("pa\u{308}sswo\u{308}rd korrekt");
    assert_eq!(hasher.verify(decomposed, Some(&composed)).await.unwrap(), Verdict::Right);
    let full_width = hasher.hash(chosen("ｈｏｒｓｅ ｂａｔｔｅｒｙ ７")).await.unwrap();
    assert_eq!(hasher.verify(password("horse battery 7"), Some(&full_width)).await.unwrap(), Verdict::Right);
}

#[test]
fn no_password_grows_beyond_the_limit_by_normalisation() {
    // One character of three bytes becomes 18 characters of 33 bytes.
    let text = "\u{fdfa}".repeat(100);
    assert_eq!(Password::presented(text.into()).unwrap_err(), Weakness::Long);
}

#[test]
fn impossible_costs_are_refused_and_nothing_secret_is_shown() {
    assert!(Hasher::new(Cost { memory_kib: 1, iterations: 0, parallelism: 0 }).is_err());
    assert_eq!(format!("{:?}", password("hunter22")), "Password(..)");
}

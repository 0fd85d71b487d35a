//! The passwords that guessing tools try first and that are long enough to pass the length rule.

/// Whether `text`, in any case, is one of them, or one character repeated.
pub(super) fn is_guessable(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut chars = lower.chars();
    let repeated = chars.next().is_some_and(|first| chars.all(|next| next == first));
    repeated || FIRST_GUESSES.contains(&lower.as_str())
}

// The head of the lists published with breaches, cut to eight characters and more. A full list belongs to a breach
// service; this stops the first guesses, and the throttle stops the rest.
const FIRST_GUESSES: &[&str] = &[
    "00000000", "0123456789", "0987654321", "11111111", "1111111111", "1122334455", "12341234", "123123123",
    "1234512345", "12345678", "123456789", "1234567890", "1234567891", "123456789a", "123456a@", "123456abc", "1234abcd",
    "123qweasd", "12qwaszx", "147258369", "1q2w3e4r", "1q2w3e4r5t", "1qaz2wsx", "1qaz2wsx3edc", "1qazxsw2", "66666666",
    "741852963", "87654321", "88888888", "987654321", "9876543210", "99999999", "a1b2c3d4", "aa123456", "aa12345678",
    "abc12345", "abcd1234", "abcdefgh", "admin123", "admin1234", "administrator", "asdf1234", "asdfasdf", "asdfghjk",
    "asdfghjkl", "baseball", "basketball", "butterfly", "changeme", "changeme123", "charlie1", "chocolate", "computer",
    "corvette", "daniel123", "default1", "dragon123", "elephant", "football", "football1", "football123", "garfield",
    "godzilla", "iloveyou", "iloveyou1", "iloveyou2", "internet", "jennifer", "jordan23", "letmein1", "letmein123",
    "liverpool", "master123", "maverick", "mercedes", "michelle", "midnight", "minecraft", "monkey123", "mustang1",
    "naruto123", "p@ssw0rd", "p@ssword", "pa55word", "pass1234", "passw0rd", "passw0rd!", "password", "password!",
    "password01", "password1", "password1!", "password12", "password123", "password1234", "password2", "pokemon123",
    "princess", "princess1", "q1w2e3r4", "q1w2e3r4t5", "qazwsxedc", "qwer1234", "qwerasdf", "qwert123", "qwerty12",
    "qwerty123", "qwerty1234", "qwerty12345", "qwertyui", "qwertyuiop", "rootroot", "samantha", "samsung1", "september",
    "shadow123", "spiderman", "starwars", "steelers", "summer2024", "summer2025", "sunshine", "sunshine1", "superman",
    "test1234", "testtest", "trustno1", "victoria", "welcome1", "welcome123", "whatever", "winter2024", "winter2025",
    "zaq12wsx", "zaq1zaq1", "zxcvbnm1", "zxcvbnm123",
];

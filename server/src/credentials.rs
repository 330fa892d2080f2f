//! What new passwords must be like, and how they are hashed.

use regex_lite::Regex;
use warren_core::broker::HashAlgorithm;

/// The shortest password where only that is asked for that there is a shortest, as in RabbitMQ.
const MIN_LENGTH: usize = 8;

/// What is said of new passwords.
#[derive(Clone, Debug)]
pub(crate) struct PasswordSettings {
    /// How they are hashed.
    pub(crate) algorithm: HashAlgorithm,
    /// What is asked of them.
    pub(crate) validator: Validator,
    /// With how many bytes one is long enough.
    pub(crate) min_length: Option<usize>,
    /// What one is to be like.
    pub(crate) pattern: Option<Regex>,
}

/// What is asked of new passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validator {
    /// Nothing.
    None,
    /// A length.
    Length,
    /// That they are like a pattern.
    Pattern,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        let (algorithm, validator) = (HashAlgorithm::Sha256, Validator::None);
        Self { algorithm, validator, min_length: None, pattern: None }
    }
}

impl PasswordSettings {
    /// # Errors
    /// When a pattern is asked for and none is said.
    pub(crate) fn check_itself(&self) -> Result<(), String> {
        match (self.validator, &self.pattern) {
            (Validator::Pattern, None) => {
                Err("credential_validator.regexp is not set, which the validator needs".into())
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// When a new password is not as it must be, in RabbitMQ's words.
    pub(crate) fn check(&self, password: &str) -> Result<(), String> {
        match self.validator {
            Validator::None => Ok(()),
            Validator::Length => {
                let min = self.min_length.unwrap_or(MIN_LENGTH);
                if password.len() >= min {
                    return Ok(());
                }
                Err(format!("minimum required password length is set to {min}"))
            }
            Validator::Pattern => match &self.pattern {
                Some(pattern) if pattern.is_match(password) => Ok(()),
                _ => {
                    Err("provided password does not match the validator regular expression".into())
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_as_long_or_as_alike_as_they_must_be() {
        let mut settings = PasswordSettings::default();
        assert_eq!(settings.check(""), Ok(()));
        settings.validator = Validator::Length;
        let refused = Err("minimum required password length is set to 8".to_owned());
        assert_eq!((settings.check("1234567"), settings.check("12345678")), (refused, Ok(())));
        settings.min_length = Some(2);
        assert_eq!(settings.check("12"), Ok(()));
        settings.validator = Validator::Pattern;
        assert!(settings.check_itself().is_err());
        settings.pattern = Some(Regex::new("^[a-z]+$").expect("is one"));
        assert_eq!(settings.check_itself(), Ok(()));
        assert!(settings.check("abc").is_ok() && settings.check("abc1").is_err());
    }
}

//! Users.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use warren_core::Command;
use warren_core::amqp::ShortStr;
use warren_core::broker::{HashAlgorithm, Password, PasswordHash, User, UserChange};

use super::call::{Answer, Call, Failure, Object, Reply, short};
use super::page::{self, Ready};
use super::{State, limit, permission, reading};

pub(super) async fn list(call: Call) -> Answer {
    let users = reading::users(&call.state.broker).await;
    page::list(&call, users.iter().map(row).collect())
}

/// The users who may enter no virtual host.
pub(super) async fn list_without_permissions(call: Call) -> Answer {
    let permissions = reading::permissions(&call.state.broker).await;
    let mut users = reading::users(&call.state.broker).await;
    users.retain(|user| !permissions.iter().any(|one| one.user == user.name));
    page::list(&call, users.iter().map(row).collect())
}

pub(super) async fn one(call: Call) -> Answer {
    let user = find(&call).await?;
    page::one(&call, to_json(&user))
}

pub(super) async fn set(call: Call) -> Answer {
    let name = call.name("user")?;
    put(&call.state, name, &call.object()?).await
}

/// Makes a user of an object, or changes one.
///
/// # Errors
/// When the object describes none.
pub(super) async fn put(state: &State, user: ShortStr, object: &Object) -> Answer {
    let tags = tags(object.required("tags")?)?;
    let password_hash = password_hash(state, object).await?;
    let change = UserChange { password_hash: Some(password_hash), tags: Some(tags) };
    let done = state.broker.command(Command::SetUser { user: user.clone(), change }).await?;
    if let Some(limits) = object.get("limits") {
        let limits = limit::of_user(limits)?;
        state.broker.command(Command::SetUserLimits { user, limits }).await?;
    }
    Ok(done.into())
}

pub(super) async fn delete(call: Call) -> Answer {
    let user = call.name("user")?;
    Ok(call.state.broker.command(Command::DeleteUser { user }).await?.into())
}

/// Deletes those of these users who are there.
pub(super) async fn delete_many(call: Call) -> Answer {
    let object = call.object()?;
    let wrong = || Failure::bad_request("users is not a list of names");
    for user in object.required("users")?.as_array().ok_or_else(wrong)? {
        let user = short(user.as_str().ok_or_else(wrong)?)?;
        let is_known = {
            let wanted = user.clone();
            call.state.broker.look(move |broker| broker.user(&wanted).is_some()).await
        };
        if is_known {
            call.state.broker.command(Command::DeleteUser { user }).await?;
        }
    }
    Ok(Reply::Done)
}

/// What the user that the path names may do, and where.
pub(super) async fn permissions(call: Call) -> Answer {
    let user = find(&call).await?.name;
    let all = reading::permissions(&call.state.broker).await.into_iter();
    page::list(&call, all.filter(|one| one.user == user).map(permission::row).collect())
}

/// What the user may do at topic exchanges.
pub(super) async fn topic_permissions(call: Call) -> Answer {
    let user = find(&call).await?.name;
    let all = reading::topic_permissions(&call.state.broker).await.into_iter();
    page::list(&call, all.filter(|one| one.user == user).map(permission::topic_row).collect())
}

/// The user that the path names.
///
/// # Errors
/// When there is none.
pub(super) async fn find(call: &Call) -> Result<User, Failure> {
    let wanted = call.name("user")?;
    let found = call.state.broker.look(move |broker| broker.user(&wanted).cloned()).await;
    found.ok_or_else(Failure::no_object)
}

/// A salted hash of the password that the path has.
pub(super) async fn hash_password(call: Call) -> Answer {
    let password = call.param("password").unwrap_or_default().to_owned().into_bytes();
    let hash = hash(&call.state, password).await?;
    Ok(Reply::Json(json!({ "ok": STANDARD.encode(&hash.bytes) })))
}

/// A salted hash of a password, computed where it holds up nobody.
///
/// # Errors
/// When it cannot be computed.
pub(super) async fn hash(state: &State, password: Vec<u8>) -> Result<PasswordHash, Failure> {
    let hasher = state.users.hasher();
    let algorithm = state.users.passwords().algorithm;
    let hashed = hasher.hash(algorithm, Password(password.into())).await;
    hashed.map_err(|error| Failure::unavailable(error.to_string()))
}

async fn password_hash(state: &State, object: &Object) -> Result<PasswordHash, Failure> {
    if object.get("password").is_some() {
        let password = object.text("password")?;
        state.users.passwords().check(password).map_err(Failure::bad_request)?;
        return hash(state, password.as_bytes().to_vec()).await;
    }
    let encoded = object.text_or("password_hash", "")?;
    let bytes = STANDARD.decode(encoded).map_err(|_| Failure::bad_request("[not_base64]"))?;
    let algorithm = object.text_or("hashing_algorithm", HashAlgorithm::Sha256.name())?;
    let algorithm = HashAlgorithm::from_name(algorithm).ok_or_else(|| {
        Failure::bad_request(format!("{algorithm} is not a supported password hashing algorithm"))
    })?;
    Ok(PasswordHash { algorithm, bytes: bytes.into() })
}

/// Tags as a list, or as RabbitMQ had them before 3.9: a text with commas.
pub(super) fn tags(value: &Value) -> Result<Vec<ShortStr>, Failure> {
    let wrong = || Failure::bad_request("tags must be a list or a comma-separated string");
    match value {
        Value::Array(tags) => {
            tags.iter().map(|tag| short(tag.as_str().ok_or_else(wrong)?)).collect()
        }
        Value::String(tags) => {
            tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(short).collect()
        }
        _ => Err(wrong()),
    }
}

fn row(user: &User) -> Ready {
    Ready { vhost: ShortStr::EMPTY, name: user.name.clone(), json: to_json(user) }
}

/// A user as JSON.
pub(super) fn to_json(user: &User) -> Value {
    json!({
        "name": user.name.to_text(),
        "password_hash": STANDARD.encode(&user.password_hash.bytes),
        "hashing_algorithm": user.password_hash.algorithm.name(),
        "tags": user.tags.iter().map(|tag| tag.to_text()).collect::<Vec<_>>(),
        "limits": limit::of_user_json(user.limits),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_a_list_or_a_text() {
        let expected: Vec<ShortStr> = vec!["administrator".into(), "mine".into()];
        assert_eq!(tags(&json!(["administrator", "mine"])).expect("tags"), expected);
        assert_eq!(tags(&json!("administrator, mine,")).expect("tags"), expected);
        assert_eq!(tags(&json!("")).expect("none"), [""; 0]);
        assert!(tags(&json!([1])).is_err() && tags(&json!({})).is_err());
    }
}

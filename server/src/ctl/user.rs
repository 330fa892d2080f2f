//! Users and their passwords.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use warren_core::broker::{HashAlgorithm, Password};
use warren_io::password;

use super::call::{Call, joined};
use super::client::Asked;
use super::command::Answer;
use super::failure::Failure;
use super::output::Output;
use super::table::Row;
use super::target::basic;

/// What the algorithms are called, shortly.
const ALGORITHMS: [(&str, HashAlgorithm); 5] = [
    ("sha256", HashAlgorithm::Sha256),
    ("sha-256", HashAlgorithm::Sha256),
    ("sha512", HashAlgorithm::Sha512),
    ("sha-512", HashAlgorithm::Sha512),
    ("md5", HashAlgorithm::Md5),
];

/// What is said to who has made a user.
const NO_PERMISSIONS_YET: &str = "Done. Don't forget to grant the user permissions to some virtual \
                                  hosts! See 'rabbitmqctl help set_permissions' to learn more.";

pub(super) async fn list(call: &Call) -> Answer {
    call.banner("Listing users ...");
    let users = call.get(&["users"]).await?;
    let row = |user: &Value| -> Row {
        vec![("user", user["name"].clone()), ("tags", user["tags"].clone())]
    };
    Ok(Output::Rows(users.as_array().into_iter().flatten().map(row).collect()))
}

pub(super) async fn add(call: &Call) -> Answer {
    let user = call.arg("username");
    if user.is_empty() {
        return Err(Failure::argument("user cannot be an empty string"));
    }
    call.banner(format!("Adding user \"{user}\" ..."));
    let is_hash = call.is_set("pre-hashed-password");
    let prompt = if is_hash { "Hashed and salted password: " } else { "Password: " };
    let password = given_password(call, prompt)?;
    if call.find(&["users", user]).await?.is_some() {
        return Err(Failure::software(format!("User \"{user}\" already exists")));
    }
    let mut body = with_password(&password);
    if is_hash {
        let decoded = STANDARD.decode(&password);
        decoded
            .map_err(|_| Failure::data("Could not Base64 decode provided password hash value"))?;
        body = json!({ "password_hash": password });
    }
    body["tags"] = json!([]);
    call.put(&["users", user], &body).await?;
    if call.options.is_quiet && !call.options.format.is_json() {
        return Ok(Output::Done);
    }
    let node = call.node().await?;
    let json = json!({ "status": "ok", "node": node, "message": NO_PERMISSIONS_YET });
    Ok(Output::Either(NO_PERMISSIONS_YET.to_owned(), json))
}

pub(super) async fn delete(call: &Call) -> Answer {
    let user = call.arg("username");
    call.banner(format!("Deleting user \"{user}\" ..."));
    match call.delete(&["users", user]).await? {
        true => Ok(Output::Done),
        false => Err(missing(user)),
    }
}

pub(super) async fn change_password(call: &Call) -> Answer {
    let user = call.arg("username");
    call.banner(format!("Changing password for user \"{user}\" ..."));
    let password = given_password(call, "Password: ")?;
    set_password(call, user, with_password(&password)).await
}

pub(super) async fn clear_password(call: &Call) -> Answer {
    let user = call.arg("username");
    call.banner(format!("Clearing password for user \"{user}\" ..."));
    set_password(call, user, json!({ "password_hash": "" })).await
}

/// The empty password is none: nobody logs in with it.
fn with_password(password: &str) -> Value {
    match password {
        "" => json!({ "password_hash": "" }),
        password => json!({ "password": password }),
    }
}

/// Puts another password in the place of a user's, who stays as is otherwise.
async fn set_password(call: &Call, user: &str, mut body: Value) -> Answer {
    let known = call.find(&["users", user]).await?.ok_or_else(|| missing(user))?;
    body["tags"] = known["tags"].clone();
    call.put(&["users", user], &body).await?;
    Ok(Output::Done)
}

pub(super) async fn set_tags(call: &Call) -> Answer {
    let (user, tags) = (call.arg("username"), call.all("tag"));
    call.banner(format!("Setting tags for user \"{user}\" to [{}] ...", tags.join(", ")));
    let mut body = call.find(&["users", user]).await?.ok_or_else(|| missing(user))?;
    // One argument may hold several, as the API takes them.
    let tags: Vec<_> = tags.iter().flat_map(|tags| tags.split(',')).map(str::trim).collect();
    body["tags"] = tags.into_iter().filter(|tag| !tag.is_empty()).collect();
    call.put(&["users", user], &body).await?;
    Ok(Output::Done)
}

/// The broker is asked who that is who has this password.
pub(super) async fn authenticate(call: &Call) -> Answer {
    let user = call.arg("username");
    call.banner(format!("Authenticating user \"{user}\" ..."));
    let claim = basic(user, &given_password(call, "Password: ")?);
    let path = joined(&["whoami"]);
    let asked = Asked { authorization: Some(&claim), ..Asked::new(Method::GET, &path) };
    let response = call.send(asked).await?;
    let is_refused = response.status == StatusCode::UNAUTHORIZED
        && response.json()["reason"].as_str() == Some("Not_Authorized");
    if is_refused {
        return Err(Failure::data(format!(
            "Error: failed to authenticate user \"{user}\"\nuser '{user}' - invalid credentials"
        )));
    }
    // Whoever may not use the API has a password all the same.
    if response.status.is_success() || response.status == StatusCode::UNAUTHORIZED {
        return Ok(Output::Text("Success".to_owned()));
    }
    call.settled(response).map(|_| Output::Done)
}

/// Computed here: no broker need run.
pub(super) async fn hash_password(call: &Call) -> Answer {
    call.banner("Will hash provided password");
    let password = given_password(call, "Password: ")?;
    if password.is_empty() {
        return Err(Failure::argument("password cannot be an empty string"));
    }
    let name = call.maybe("hashing-algorithm").unwrap_or("sha256").to_ascii_lowercase();
    let algorithm = ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, known)| *known);
    let unsupported = || Failure::argument(format!("unsupported hashing algorithm: {name}"));
    let password = Password(password.into_bytes().into());
    let hash = password::hash(algorithm.ok_or_else(unsupported)?, &password);
    let hash = STANDARD.encode(hash.map_err(Failure::software)?.bytes);
    Ok(Output::Either(hash.clone(), json!({ "result": "ok", "value": hash })))
}

pub(super) async fn list_hashes(call: &Call) -> Answer {
    call.banner("Listing supported hash algorithms ...");
    let rows = ["md5", "sha256", "sha512"].map(|name| vec![("hash", json!(name))]);
    Ok(Output::Rows(rows.into()))
}

/// The password that stands on the command line, or comes on standard input.
fn given_password(call: &Call, prompt: &str) -> Result<String, Failure> {
    match call.maybe("password") {
        Some(password) => Ok(password.to_owned()),
        None => call.read_password(prompt),
    }
}

/// There is no such user.
pub(super) fn missing(user: &str) -> Failure {
    Failure::no_user(format!("User \"{user}\" does not exist"))
}

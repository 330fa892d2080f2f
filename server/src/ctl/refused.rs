//! Commands of RabbitMQ's tools for what is not there, with the reason.

use super::call::Call;
use super::command::{Answer, Command, any};
use super::commands::commands;
use super::failure::Failure;
use super::refused;

const ONE_NODE: &str = "there are no clusters: a broker is one node";
const ONE_PROCESS: &str = "the broker and its process are one: stop it with `warren ctl stop`, \
                           start it as it was started before (`systemctl start warren`)";
const NO_RESET: &str =
    "nothing deletes all data at a word: stop the broker and remove its data directory";
const NO_ERLANG: &str = "there is no Erlang here";
const NO_TRACING: &str = "messages are not traced";
const NO_COPIES: &str = "a queue has no copies on other nodes";
const BROWSE: &str = "`warren ctl browse QUEUE` shows messages of any queue";
const NO_ENCRYPTION: &str = "values of the configuration are not encrypted; `$(<FILE)` reads one \
                             from a file";
const LISTENERS: &str = "listeners cannot be suspended";

/// Fails, and says why.
async fn refuse(call: &Call, why: &str) -> Answer {
    Err(Failure::unavailable(format!("{} is not offered: {why}", call.name)))
}

/// See the [module](self).
pub(super) const COMMANDS: &[Command] = commands! {
    "stop_app" [any("argument")] "Is not offered" refused::refuse(ONE_PROCESS);
    "start_app" [any("argument")] "Is not offered" refused::refuse(ONE_PROCESS);
    "reset" [any("argument")] "Is not offered" refused::refuse(NO_RESET);
    "force_reset" [any("argument")] "Is not offered" refused::refuse(NO_RESET);
    "force_boot" [any("argument")] "Is not offered" refused::refuse(ONE_NODE);
    "join_cluster" [any("argument")] "Is not offered" refused::refuse(ONE_NODE);
    "forget_cluster_node" [any("argument")] "Is not offered" refused::refuse(ONE_NODE);
    "change_cluster_node_type" [any("argument")] "Is not offered" refused::refuse(ONE_NODE);
    "rename_cluster_node" [any("argument")] "Is not offered" refused::refuse(ONE_NODE);
    "update_cluster_nodes" [any("argument")] "Is not offered" refused::refuse(ONE_NODE);
    "sync_queue" [any("argument")] "Is not offered" refused::refuse(NO_COPIES);
    "cancel_sync_queue" [any("argument")] "Is not offered" refused::refuse(NO_COPIES);
    "add_member" [any("argument")] "Is not offered" refused::refuse(NO_COPIES);
    "delete_member" [any("argument")] "Is not offered" refused::refuse(NO_COPIES);
    "grow" [any("argument")] "Is not offered" refused::refuse(NO_COPIES);
    "shrink" [any("argument")] "Is not offered" refused::refuse(NO_COPIES);
    "peek" [any("argument")] "Is not offered" refused::refuse(BROWSE);
    "quorum_status" [any("argument")] "Is not offered" refused::refuse(NO_COPIES);
    "trace_on" [any("argument")] "Is not offered" refused::refuse(NO_TRACING);
    "trace_off" [any("argument")] "Is not offered" refused::refuse(NO_TRACING);
    "eval" [any("argument")] "Is not offered" refused::refuse(NO_ERLANG);
    "eval_file" [any("argument")] "Is not offered" refused::refuse(NO_ERLANG);
    "exec" [any("argument")] "Is not offered" refused::refuse(NO_ERLANG);
    "observer" [any("argument")] "Is not offered" refused::refuse(NO_ERLANG);
    "remote_shell" [any("argument")] "Is not offered" refused::refuse(NO_ERLANG);
    "erlang_version" [any("argument")] "Is not offered" refused::refuse(NO_ERLANG);
    "force_gc" [any("argument")] "Is not offered" refused::refuse(NO_ERLANG);
    "encode" [any("argument")] "Is not offered" refused::refuse(NO_ENCRYPTION);
    "decode" [any("argument")] "Is not offered" refused::refuse(NO_ENCRYPTION);
    "encrypt_conf_value" [any("argument")] "Is not offered" refused::refuse(NO_ENCRYPTION);
    "decrypt_conf_value" [any("argument")] "Is not offered" refused::refuse(NO_ENCRYPTION);
    "suspend_listeners" [any("argument")] "Is not offered" refused::refuse(LISTENERS);
    "resume_listeners" [any("argument")] "Is not offered" refused::refuse(LISTENERS);
    "drain" [any("argument")] "Is not offered" refused::refuse(LISTENERS);
    "revive" [any("argument")] "Is not offered" refused::refuse(LISTENERS);
};

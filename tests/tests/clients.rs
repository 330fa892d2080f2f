//! Runs the client programs under `clients/` against the built binary: clients that others wrote,
//! in the languages that people use them from.
//!
//! On a newcomer's machine a client that is not installed is skipped, loudly. In CI, or with
//! `WARREN_REQUIRE_CLIENTS` set, it is a failure.

use std::env;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use warren_tests::broker::{Target, target_dir};

/// How `clients/run` says that a client is not installed.
const MISSING: i32 = 3;

#[test]
fn pika_gets_on_with_the_broker() {
    run("pika");
}

#[test]
fn amqplib_gets_on_with_the_broker() {
    run("amqplib");
}

#[test]
fn amqp_tools_get_on_with_the_broker() {
    run("amqp-tools");
}

#[test]
fn pika_sees_what_the_management_api_does() {
    run("management");
}

#[test]
fn rabbitmqadmin_gets_on_with_the_broker() {
    run("rabbitmqadmin");
}

/// Names RabbitMQ's newer `rabbitmqadmin`, the crate of this name (`cargo install --locked
/// rabbitmqadmin`, which takes minutes): the test of it is skipped without.
const ADMIN_VARIABLE: &str = "WARREN_RABBITMQADMIN";

/// Commands of it, in their order. A `#` begins what its output must have in it.
const ADMIN_COMMANDS: &str = r#"
vhosts declare --name v1 --description d --default-queue-type quorum --tracing
vhosts list # v1
vhosts enable_deletion_protection --name v1
vhosts disable_deletion_protection --name v1
users declare --name u1 --password p1 --tags administrator
users declare --name u2 --password-hash aGFzaGhhc2g= --tags management
users list # administrator
declare permissions --user u1 --configure .* --read .* --write .*
permissions list # u1
declare queue --name q1 --type classic --durable true
declare queue --name q2 --type quorum
queues list # quorum
declare exchange --name x1 --type topic
exchanges list # x1
declare binding --source x1 --destination-type queue --destination q1 --routing-key a.#
bindings list # q1
publish message --routing-key q1 --payload hello # routed
publish message --exchange x1 --routing-key a.b --payload there # routed
get messages --queue q1 --count 2 --ack-mode ack_requeue_true # there
list connections
list channels
list consumers
list nodes # processors
list feature_flags # quorum_queue
list deprecated_features
declare policy --name p1 --pattern ^q --apply-to queues --priority 1 --definition {"max-length":10}
declare operator_policy --name o1 --pattern ^q --apply-to queues --definition {"max-length":20}
policies list # p1
policies list_matching_object --name q1 --type queues # p1
policies update_definition --name p1 --definition-key max-length --new-value 12
policies declare_override --name p1 --override-name p2 --definition {"max-length":11}
operator_policies list # o1
declare vhost_limit --name max-connections --value 100
list vhost_limits # 100
declare user_limit --user u1 --name max-connections --value 100
list user_limits # 100
declare parameter --component federation-upstream --name f1 --value {"uri":"amqp://x"}
parameters list_all # federation-upstream
global_parameters declare --name g1 --value {"a":1}
global_parameters list # g1
show overview # Warren
show churn
show memory_breakdown_in_bytes --node NODE
show memory_breakdown_in_percent --node NODE
health_check local_alarms
health_check cluster_wide_alarms
health_check node_is_quorum_critical
health_check port_listener --port PORT
health_check protocol_listener --protocol amqp
feature_flags enable_all
feature_flags enable --name quorum_queue
definitions export --file FILE
definitions import --file FILE
definitions export --stdout # max-length
passwords salt_and_hash s3cr3t
rebalance queues
purge queue --name q1
close user_connections --username nobody
streams list
shovels list_all
federation list_all_links
delete binding --source x1 --destination-type queue --destination q1 --routing-key a.#
delete policy --name p1
delete operator_policy --name o1
delete exchange --name x1
delete queue --name q1
delete vhost_limit --name max-connections
delete user_limit --user u1 --name max-connections
delete permissions --user u1
delete parameter --component federation-upstream --name f1
delete user --name u1
delete vhost --name v1
"#;

#[test]
fn the_newer_rabbitmqadmin_gets_on_with_the_broker() {
    let Some(program) = env::var_os(ADMIN_VARIABLE) else {
        eprintln!("SKIPPED: {ADMIN_VARIABLE} does not name the rabbitmqadmin that is a crate");
        return;
    };
    let target = Target::new();
    let management = target.management().expect("the API is there");
    let (host, port) = management.rsplit_once(':').expect("an address");
    let amqp_port = target.address().socket.rsplit_once(':').expect("an address").1.to_owned();
    let scratch = TempDir::new().expect("a temporary directory can be made");
    let file = scratch.path().join("definitions.json").display().to_string();
    let mut node = "warren@localhost".to_owned();
    for line in ADMIN_COMMANDS.lines().filter(|line| !line.is_empty()) {
        let (command, wanted) = line.split_once(" # ").unwrap_or((line, ""));
        let words = command.split(' ').map(|word| match word {
            "FILE" => &file,
            "PORT" => &amqp_port,
            "NODE" => &node,
            word => word,
        });
        let mut admin = Command::new(&program);
        admin.args(["--host", host, "--port", port, "--quiet"]).args(words);
        let output = admin.output().expect("the program that was named runs");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {told}{error}");
        assert!(told.contains(wanted), "{command}: {told}{error}");
        if command == "list nodes" {
            let name = told.split_whitespace().find(|word| word.contains('@'));
            node = name.map_or(node, str::to_owned);
        }
    }
}

fn run(client: &str) {
    let target = Target::new();
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/run"));
    command.args(["--no-install", "--only", client, &target.address().socket]);
    command.args(target.management());
    let output = command.env("CARGO_TARGET_DIR", target_dir()).output().expect("bash is there");
    let told = String::from_utf8_lossy(&output.stderr);
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.code() == Some(MISSING) {
        assert!(!required(), "{told}");
        eprintln!("SKIPPED: {told}");
        return;
    }
    assert!(output.status.success(), "{client}: {}\n{told}", output.status);
}

fn required() -> bool {
    ["CI", "WARREN_REQUIRE_CLIENTS"].iter().any(|variable| env::var_os(variable).is_some())
}

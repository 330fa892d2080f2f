//! `warren ctl`, also as `rabbitmqctl`, `rabbitmq-diagnostics` and `rabbitmq-plugins`: what is
//! printed, the exit codes, and who may. The texts are those of RabbitMQ's tools.

use crate::certificates::Authority;
use crate::tls::secure;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use warren_tests::broker::{Broker, binary};
use warren_tests::client::Connection;
use warren_tests::setup::Setup;
use warren_tests::wire;

/// A broker, and links to its binary under the names of RabbitMQ's tools.
struct Tools {
    broker: Broker,
    links: TempDir,
}

/// What came of a command.
#[derive(Debug)]
struct Told {
    status: i32,
    out: String,
    err: String,
}

impl Tools {
    fn new() -> Self {
        Self::of(Setup::new().managed().flag("--set", "warren.node_name=rabbit@here").start())
    }

    fn of(broker: Broker) -> Self {
        let links = TempDir::new().expect("a temporary directory can be made");
        for name in ["rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-plugins"] {
            symlink(binary(), links.path().join(name)).expect("can be linked");
        }
        Self { broker, links }
    }

    /// A tool that finds the broker as all do: by the variable with the place of its data.
    fn command(&self, tool: &str) -> Command {
        let mut command = Command::new(self.links.path().join(tool));
        command.env("RABBITMQ_MNESIA_DIR", self.broker.data_dir()).stdin(Stdio::null());
        command
    }

    fn run(&self, tool: &str, arguments: &[&str]) -> Told {
        told(&self.command(tool).args(arguments).output().expect("it runs"))
    }

    fn ctl(&self, arguments: &[&str]) -> Told {
        self.run("rabbitmqctl", arguments)
    }

    /// What a command prints that succeeds.
    fn printed(&self, arguments: &[&str]) -> String {
        let told = self.ctl(arguments);
        assert_eq!((told.status, &*told.err), (0, ""), "{arguments:?}: {told:?}");
        told.out
    }

    /// A command over HTTP, as somebody.
    fn remote(&self, claim: &str, arguments: &[&str]) -> Told {
        let address = self.broker.management().expect("was set up with it");
        let url = format!("http://{claim}@{address}");
        let mut command = Command::new(binary());
        told(&command.args(["ctl", "--url", &url]).args(arguments).output().expect("it runs"))
    }

    fn client(&self) -> Connection {
        let mut client = Connection::open(&self.broker.address()).expect("guest may connect");
        client.open_channel(1).expect("a channel opens");
        client
    }
}

fn told(output: &Output) -> Told {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().expect("is not killed");
    Told { status, out: text(&output.stdout), err: text(&output.stderr) }
}

fn declare(client: &mut Connection, queue: &str, arguments: Value) {
    let declare = json!({"queue": queue, "durable": true, "arguments": arguments});
    client.send(1, "Queue.Declare", &declare);
    client.expect("Queue.DeclareOk").expect("is declared");
}

fn publish(client: &mut Connection, queue: &str, bodies: &[&str]) {
    client.send(1, "Confirm.Select", &Value::Null);
    client.expect("Confirm.SelectOk").expect("is confirmed");
    for body in bodies {
        let to = json!({"routing_key": queue});
        client.send_bytes(&wire::publish(1, &to, &Value::Null, body.as_bytes()));
        client.expect("Basic.Ack").expect("is there");
    }
}

#[test]
fn a_broker_starts_anew_to_be_recorded_and_who_asks_waits_for_it() {
    let mut tools = Tools::new();
    let mut client = tools.client();
    declare(&mut client, "q1", json!({}));
    let pid = tools.broker.pid();
    let dir = tools.broker.data_dir().join("recordings");
    let recording = format!("Recording to {}/000001.recording\n", dir.display());
    let banner = "Restarting node rabbit@here to record what goes into it ...\n";
    assert_eq!(tools.printed(&["restart_and_record"]), format!("{banner}{recording}"));
    tools.broker.wait_for_restart();
    assert!(tools.broker.is_running() && tools.broker.pid() == pid);
    assert_eq!(tools.printed(&["-s", "list_queues", "name"]), "q1\n");
    let again = tools.ctl(&["-q", "restart_and_record"]);
    assert_eq!(again.status, 69, "{again:?}");
    assert!(again.err.contains("recorded already, to 000001.recording"), "{again:?}");
}

#[test]
fn queues_are_listed_with_headers_quietly_silently_and_for_programs() {
    let tools = Tools::new();
    let mut client = tools.client();
    declare(&mut client, "q1", json!({"x-max-length": 10, "x-overflow": "reject-publish"}));
    declare(&mut client, "q2", json!({}));
    publish(&mut client, "q1", &["a", "b", "c"]);
    let banner = "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\n";
    let rows = "q1\t3\nq2\t0\n";
    let header = "name\tmessages\n";
    assert_eq!(tools.printed(&["list_queues"]), format!("{banner}{header}{rows}"));
    assert_eq!(tools.printed(&["-q", "list_queues"]), format!("{header}{rows}"));
    assert_eq!(tools.printed(&["list_queues", "--silent"]), rows);
    assert_eq!(tools.printed(&["list_queues", "--no-table-headers"]), format!("{banner}{rows}"));
    let arguments = r#"[{"x-max-length",10},{"x-overflow","reject-publish"}]"#;
    assert_eq!(
        tools.printed(&["-q", "list_queues", "messages,name", "arguments", "durable", "policy"]),
        format!(
            "messages\tname\targuments\tdurable\tpolicy\n3\tq1\t{arguments}\ttrue\t\n\
             0\tq2\t[]\ttrue\t\n"
        )
    );
    assert_eq!(
        tools.printed(&["list_queues", "--formatter", "json"]),
        "[\n{\"name\":\"q1\",\"messages\":3}\n,{\"name\":\"q2\",\"messages\":0}\n]\n"
    );
    assert_eq!(
        tools.printed(&["list_queues", "name", "--formatter", "csv"]),
        "\"name\"\n\"q1\"\n\"q2\"\n"
    );
    assert_eq!(
        tools.printed(&["-q", "list_queues", "name", "--formatter", "pretty_table"]),
        "┌──────┐\n│ name │\n├──────┤\n│ q1   │\n├──────┤\n│ q2   │\n└──────┘\n"
    );
    assert_eq!(tools.printed(&["-s", "list_queues", "--offline"]), "");
    assert_eq!(tools.printed(&["-s", "list_queues", "name", "--online", "--local"]), "q1\nq2\n");
    // The same with the other name, and from the directory of the data.
    let dir = tools.broker.data_dir();
    let data_dir = dir.to_str().expect("is UTF-8");
    let own = ["ctl", "-s", "--data-dir", data_dir, "list_queues"];
    assert_eq!(told(&Command::new(binary()).args(own).output().expect("it runs")).out, rows);
}

#[test]
fn a_command_line_that_makes_no_sense_is_told_so_with_status_64() {
    let tools = Tools::new();
    for (arguments, text) in [
        (&["list_queues", "bogus"][..], "Info key(s) bogus are not supported"),
        (&["bogus"], "\nCommand 'bogus' not found. \n"),
        (&["list_quues"], "Did you mean 'list_queues'?"),
        (
            &["add_user"],
            "Error (argument validation): not enough arguments.\nArguments given:\n\tadd_user\n",
        ),
        (&["delete_user", "a", "b"], "Error (argument validation): too many arguments."),
        (&["list_users", "--bogus"], "Invalid options for this command:\n--bogus"),
        (&["-t", "x", "list_users"], "Invalid options for this command:\n--timeout"),
        (&[], "Usage"),
    ] {
        let told = tools.ctl(arguments);
        assert_eq!((told.status, &*told.out), (64, ""), "{arguments:?}: {told:?}");
        assert!(told.err.contains(text), "{arguments:?}: {told:?}");
    }
    assert!(tools.printed(&["help", "set_policy"]).contains("--apply-to"));
    assert!(tools.printed(&["--help"]).contains("list_queues"));
}

#[test]
fn users_come_and_go_with_their_passwords_tags_limits_and_permissions() {
    let tools = Tools::new();
    let done = "Done. Don't forget to grant the user permissions to some virtual hosts! See \
                'rabbitmqctl help set_permissions' to learn more.";
    assert_eq!(tools.printed(&["add_user", "u", "pw"]), format!("Adding user \"u\" ...\n{done}\n"));
    let again = tools.ctl(&["-q", "add_user", "u", "pw"]);
    assert_eq!((again.status, &*again.err), (70, "Error:\nUser \"u\" already exists\n"));
    assert_eq!(
        tools.printed(&["set_user_tags", "u", "management", "mine"]),
        "Setting tags for user \"u\" to [management, mine] ...\n"
    );
    assert_eq!(
        tools.printed(&["list_users"]),
        "Listing users ...\nuser\ttags\nguest\t[administrator]\nu\t[management, mine]\n"
    );
    assert_eq!(tools.printed(&["-q", "authenticate_user", "u", "pw"]), "Success\n");
    let wrong = tools.ctl(&["authenticate_user", "u", "no"]);
    assert_eq!(wrong.status, 65, "{wrong:?}");
    assert!(
        wrong.err.contains("failed to authenticate user \"u\"\nuser 'u' - invalid credentials")
    );
    assert_eq!(tools.printed(&["-q", "change_password", "u", "new"]), "");
    assert_eq!(tools.ctl(&["authenticate_user", "u", "pw"]).status, 65);
    assert_eq!(tools.printed(&["-q", "authenticate_user", "u", "new"]), "Success\n");
    assert!(tools.printed(&["-q", "list_users"]).contains("u\t[management, mine]"), "tags stay");
    // Passwords come on standard input too, and hashes are taken as they are.
    let hash = tools.printed(&["-q", "hash_password", "third"]);
    let added = ["-q", "add_user", "v", hash.trim(), "--pre-hashed-password"];
    assert_eq!(tools.printed(&added), "");
    let mut asking = tools.command("rabbitmqctl");
    let asking = asking.args(["-q", "authenticate_user", "v"]).stdin(Stdio::piped());
    let mut child = asking.stdout(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("is piped").write_all(b"third\n").expect("is read");
    assert_eq!(told(&child.wait_with_output().expect("it ends")).out, "Success\n");
    assert_eq!(tools.printed(&["-q", "clear_password", "v"]), "");
    assert_eq!(tools.ctl(&["authenticate_user", "v", "third"]).status, 65);

    assert_eq!(
        tools.printed(&["set_permissions", "-p", "/", "u", "", "^a", ".*"]),
        "Setting permissions for user \"u\" in vhost \"/\" ...\n"
    );
    assert_eq!(
        tools.printed(&["list_permissions"]),
        "Listing permissions for vhost \"/\" ...\nuser\tconfigure\twrite\tread\n\
         guest\t.*\t.*\t.*\nu\t\t^a\t.*\n"
    );
    assert_eq!(
        tools.printed(&["-q", "list_user_permissions", "u"]),
        "vhost\tconfigure\twrite\tread\n/\t\t^a\t.*\n"
    );
    assert_eq!(tools.printed(&["-q", "set_topic_permissions", "u", "amq.topic", "^w", "^r"]), "");
    assert_eq!(tools.printed(&["-s", "list_topic_permissions"]), "u\tamq.topic\t^w\t^r\n");
    assert_eq!(
        tools.printed(&["-s", "list_user_topic_permissions", "u"]),
        "/\tamq.topic\t^w\t^r\n"
    );
    assert_eq!(tools.printed(&["-q", "clear_topic_permissions", "u", "amq.topic"]), "");
    assert_eq!(tools.printed(&["-s", "list_topic_permissions"]), "");
    assert_eq!(tools.printed(&["-q", "clear_permissions", "u"]), "");
    assert_eq!(tools.printed(&["-s", "list_user_permissions", "u"]), "");
    assert_eq!(tools.printed(&["-q", "set_user_limits", "u", r#"{"max-channels": 3}"#]), "");
    assert_eq!(tools.printed(&["-q", "list_user_limits", "--user", "u"]), "{\"max-channels\":3}\n");
    assert_eq!(
        tools.printed(&["-q", "list_user_limits", "--global"]),
        "user\tlimits\nu\t{\"max-channels\":3}\n"
    );
    assert_eq!(tools.printed(&["-q", "clear_user_limits", "u", "all"]), "");
    assert_eq!(tools.printed(&["-q", "list_user_limits", "--user", "u"]), "{}\n");
    assert_eq!(tools.printed(&["delete_user", "u"]), "Deleting user \"u\" ...\n");
    for arguments in [
        &["delete_user", "u"][..],
        &["set_permissions", "u", "", "", ""],
        &["set_user_tags", "u"],
        &["list_user_permissions", "u"],
    ] {
        let told = tools.ctl(arguments);
        assert_eq!(told.status, 67, "{told:?}");
        assert!(told.err.contains("does not exist"), "{told:?}");
    }
}

#[test]
fn virtual_hosts_policies_and_parameters_come_and_go() {
    let tools = Tools::new();
    assert_eq!(
        tools.printed(&["add_vhost", "v", "--description", "some", "--tags", "a,b"]),
        "Adding vhost \"v\" ...\n"
    );
    assert_eq!(tools.printed(&["-q", "add_vhost", "v"]), "", "as often as one likes");
    assert_eq!(
        tools.printed(&["-q", "list_vhosts", "name", "description", "tags"]),
        "name\tdescription\ttags\n/\t\t[]\nv\tsome\t[a, b]\n"
    );
    assert_eq!(tools.printed(&["-s", "list_permissions", "-p", "v"]), "", "nobody may enter");
    assert_eq!(tools.printed(&["-q", "set_vhost_limits", "-p", "v", r#"{"max-queues": 3}"#]), "");
    assert_eq!(tools.printed(&["-q", "list_vhost_limits", "-p", "v"]), "{\"max-queues\":3}\n");
    let unknown = tools.ctl(&["-q", "set_vhost_limits", "-p", "v", r#"{"max-foo": 3}"#]);
    assert_eq!(unknown.status, 69, "{unknown:?}");
    assert_eq!(tools.printed(&["-q", "clear_vhost_limits", "-p", "v"]), "");
    let definition = r#"{"max-length":5}"#;
    let policy =
        ["set_policy", "-p", "v", "p", "^q", definition, "--priority", "1", "--apply-to", "queues"];
    assert_eq!(
        tools.printed(&policy),
        "Setting policy \"p\" for pattern \"^q\" to \"{\"max-length\":5}\" with priority \"1\" for \
         vhost \"v\" ...\n"
    );
    assert_eq!(
        tools.printed(&["list_policies", "-p", "v"]),
        "Listing policies for vhost \"v\" ...\nvhost\tname\tpattern\tapply-to\tdefinition\tpriority\n\
         v\tp\t^q\tqueues\t{\"max-length\":5}\t1\n"
    );
    assert_eq!(tools.printed(&["-q", "clear_policy", "-p", "v", "p"]), "");
    let none = tools.ctl(&["-q", "clear_policy", "-p", "v", "p"]);
    assert_eq!((none.status, &*none.err), (69, "Error:\nParameter does not exist\n"));
    assert_eq!(tools.ctl(&["set_policy", "p", "^q", "no json"]).status, 69);
    assert_eq!(tools.printed(&["-q", "set_operator_policy", "o", "^q", definition]), "");
    assert!(tools.printed(&["-s", "list_operator_policies"]).starts_with("/\to\t^q\t"));
    assert_eq!(tools.printed(&["-q", "clear_operator_policy", "o"]), "");
    assert_eq!(tools.printed(&["-q", "set_parameter", "c", "n", r#"{"a":1}"#]), "");
    assert_eq!(
        tools.printed(&["-q", "list_parameters"]),
        "component\tname\tvalue\nc\tn\t{\"a\":1}\n"
    );
    assert_eq!(tools.printed(&["-q", "clear_parameter", "c", "n"]), "");
    assert_eq!(tools.printed(&["-q", "set_global_parameter", "g", "7"]), "");
    assert!(tools.printed(&["-s", "list_global_parameters"]).contains("g\t7\n"));
    assert_eq!(tools.printed(&["-q", "clear_global_parameter", "g"]), "");
    assert_eq!(tools.printed(&["-q", "delete_vhost", "v"]), "");
    let gone = tools.ctl(&["-q", "delete_vhost", "v"]);
    assert_eq!((gone.status, &*gone.err), (65, "Virtual host 'v' does not exist\n"));
    assert_eq!(tools.ctl(&["list_queues", "-p", "v"]).status, 65);
}

#[test]
fn queues_are_deleted_purged_browsed_and_paused_by_no_user_at_all() {
    let tools = Tools::new();
    let mut client = tools.client();
    declare(&mut client, "q", json!({}));
    publish(&mut client, "q", &["first", "second\tline"]);
    // The only user may do nothing any more; who may open the socket may.
    assert_eq!(tools.printed(&["-q", "clear_permissions", "guest"]), "");
    let browsed = tools.printed(&["-s", "browse", "q"]);
    let lines: Vec<_> = browsed.lines().collect();
    let [first, second] = lines[..] else { panic!("{browsed}") };
    assert!(first.ends_with("\tfirst") && second.ends_with("\tsecond\\tline"), "{browsed}");
    let id = first.split('\t').next().expect("the first column is the id");
    assert_eq!(tools.printed(&["-q", "delete_message", "q", id]), "");
    assert_eq!(tools.printed(&["-s", "list_queues"]), "q\t1\n");
    assert_eq!(tools.ctl(&["delete_message", "q", id]).status, 65);
    assert_eq!(tools.printed(&["-q", "pause_queue", "q"]), "");
    assert_eq!(tools.printed(&["-s", "list_queues", "state"]), "paused\n");
    assert_eq!(tools.printed(&["-q", "resume_queue", "q"]), "");
    assert_eq!(tools.printed(&["-s", "list_queues", "state"]), "running\n");
    let full = tools.ctl(&["-q", "delete_queue", "q", "--if-empty"]);
    assert_eq!((full.status, &*full.err), (64, "Error:\nThe queue is not empty\n"));
    assert_eq!(tools.printed(&["purge_queue", "q"]), "Purging queue 'q' in vhost '/' ...\n");
    assert_eq!(tools.printed(&["-s", "list_queues"]), "q\t0\n");
    assert_eq!(
        tools.printed(&["delete_queue", "q", "-e", "-u"]),
        "Deleting queue 'q' on vhost '/' if queue is empty and if queue is unused ...\n\
         Queue was successfully deleted with 0 ready messages\n"
    );
    assert_eq!(tools.ctl(&["delete_queue", "q"]).status, 64);
    assert_eq!(tools.printed(&["-s", "list_delayed"]), "");
    assert_eq!(tools.ctl(&["cancel_delayed", "7"]).status, 65);
}

#[test]
fn connections_are_listed_and_closed() {
    let tools = Tools::new();
    let mut client = tools.client();
    declare(&mut client, "q", json!({}));
    client.send(1, "Basic.Consume", &json!({"queue": "q", "consumer_tag": "t"}));
    client.expect("Basic.ConsumeOk").expect("consumes");
    assert!(tools.printed(&["-s", "list_connections"]).starts_with("guest\t127.0.0.1\t"));
    let pid = tools.printed(&["-s", "list_connections", "pid"]);
    let pid = pid.trim();
    assert!(pid.starts_with("<rabbit@here.") && pid.ends_with(".0>"), "{pid}");
    assert_eq!(
        tools.printed(&["-s", "list_channels", "connection", "number"]),
        format!("{pid}\t1\n")
    );
    let consumers = tools.printed(&["-s", "list_consumers"]);
    assert_eq!(
        consumers.trim_end(),
        format!("q\t{}.1>\tt\ttrue\t0\ttrue\t[]", &pid[..pid.len() - 3])
    );
    assert_eq!(
        tools.printed(&["close_connection", pid, "for a reason"]),
        format!("Closing connection {pid}, reason: for a reason...\n")
    );
    let close = client.expect("Connection.Close").expect("the client is told");
    assert_eq!(close["reply_code"], 320);
    assert!(
        close["reply_text"].as_str().is_some_and(|text| text.contains("for a reason")),
        "{close:?}"
    );
    let mut clients: Vec<_> = (0..3).map(|_| tools.client()).collect();
    drop(client);
    let told = tools.printed(&["-q", "close_all_connections", "all out"]);
    assert!(told.starts_with("Closed "), "{told}");
    for client in &mut clients {
        assert_eq!(client.expect("Connection.Close").expect("is told")["reply_code"], 320);
    }
}

#[test]
fn definitions_go_to_files_and_back() {
    let tools = Tools::new();
    declare(&mut tools.client(), "q", json!({}));
    let dir = TempDir::new().expect("a temporary directory can be made");
    let file = dir.path().join("definitions.json");
    let path = file.to_str().expect("is UTF-8");
    assert_eq!(
        tools.printed(&["export_definitions", path]),
        format!("Exporting definitions in JSON to a file at \"{path}\" ...\n")
    );
    let exported: Value =
        serde_json::from_slice(&fs::read(&file).expect("is there")).expect("JSON");
    assert_eq!(exported["queues"][0]["name"], "q");
    let printed: Value =
        serde_json::from_str(&tools.printed(&["export_definitions", "-"])).expect("JSON");
    assert_eq!(printed, exported);
    assert_eq!(tools.printed(&["-q", "delete_queue", "q"]).lines().count(), 1);
    assert_eq!(tools.printed(&["-q", "import_definitions", path]), "");
    assert_eq!(tools.printed(&["-s", "list_queues"]), "q\t0\n");
    assert_eq!(tools.ctl(&["import_definitions", "no/such/file"]).status, 65);
    fs::write(&file, "no json").expect("can be written");
    assert_eq!(tools.ctl(&["import_definitions", path]).status, 65);
}

#[test]
fn probes_and_scripts_find_the_broker_well() {
    let tools = Tools::new();
    let port = tools.broker.address().socket.rsplit_once(':').expect("has a port").1.to_owned();
    let diagnostics = |arguments: &[&str]| tools.run("rabbitmq-diagnostics", arguments);
    let well = |arguments: &[&str], text: &str| {
        let told = diagnostics(arguments);
        assert_eq!((told.status, &*told.err), (0, ""), "{arguments:?}: {told:?}");
        assert!(told.out.contains(text), "{arguments:?}: {told:?}");
    };
    well(&["-q", "ping"], "Ping succeeded\n");
    well(&["-q", "check_running"], "RabbitMQ on node rabbit@here is fully booted and running\n");
    well(&["-q", "is_running"], "is fully booted and running\n");
    well(&["-q", "check_local_alarms"], "Node rabbit@here reported no local alarms\n");
    well(&["-q", "check_alarms"], "Node rabbit@here reported no alarms, local or clusterwide\n");
    well(&["-q", "alarms"], "reported no alarms");
    well(&["-q", "check_virtual_hosts"], "Node rabbit@here reported all vhosts as running\n");
    well(&["-q", "check_port_connectivity"], "Successfully connected to ports ");
    well(&["-q", "check_port_listener", &port], "is running on node rabbit@here.\n");
    well(&["-q", "check_protocol_listener", "amqp"], "A listener for protocol amqp is running");
    well(&["-q", "check_if_node_is_quorum_critical"], "single node cluster");
    well(&["-q", "listeners"], &format!("port: {port}, protocol: amqp, purpose: AMQP 0-9-1\n"));
    well(&["-q", "memory_breakdown", "--unit", "mb"], "other_proc: ");
    well(&["-q", "server_version"], "4.3.5\n");
    well(&["-q", "status"], "RabbitMQ version: 4.3.5\nNode name: rabbit@here\n");
    well(&["-q", "cluster_status"], "Running Nodes\n\nrabbit@here\n");
    well(&["-q", "environment"], "warren.data_dir\t");
    well(&["-q", "list_feature_flags"], "user_limits\tenabled\n");
    well(&["-q", "enable_feature_flag", "all"], "");
    well(&["await_startup"], "");
    well(&["-n", "rabbit@elsewhere", "-t", "10", "-q", "ping"], "Ping succeeded\n");
    well(&["list_unresponsive_queues"], "Listing unresponsive queues for vhost / ...\n");
    assert_eq!(diagnostics(&["-s", "check_alarms"]).out, "");
    let missing = diagnostics(&["-q", "check_port_listener", "1"]);
    assert_eq!(missing.status, 69, "{missing:?}");
    assert!(missing.err.starts_with("No listener for port 1 is active on node rabbit@here."));
    let status: Value =
        serde_json::from_str(&tools.printed(&["status", "--formatter", "json"])).expect("JSON");
    assert_eq!(status["product_name"], "Warren");
    for name in ["stop_app", "start_app", "reset", "join_cluster", "eval", "trace_on"] {
        let told = tools.ctl(&[name, "x"]);
        assert_eq!(told.status, 69, "{told:?}");
        assert!(told.err.starts_with(&format!("Error:\n{name} is not offered: ")), "{told:?}");
    }
    let plugins = |arguments: &[&str]| tools.run("rabbitmq-plugins", arguments);
    assert!(plugins(&["list"]).out.contains("[E*] rabbitmq_management "));
    assert!(plugins(&["list", "-m", "-E", "-q"]).out.contains("\nrabbitmq_management\n"));
    assert_eq!(plugins(&["enable", "--offline", "rabbitmq_management"]).status, 0);
    assert_eq!(plugins(&["enable", "rabbitmq_mqtt"]).status, 65);
    assert_eq!(plugins(&["is_enabled", "rabbitmq_management"]).status, 0);
    assert_eq!(plugins(&["is_enabled", "rabbitmq_mqtt"]).status, 69);
    assert_eq!(plugins(&["disable", "rabbitmq_management"]).status, 69);
}

#[test]
fn a_broker_that_is_not_there_is_status_69_and_waiting_for_one_status_75() {
    let mut tools = Tools::new();
    let told = tools.printed(&["-q", "stop"]);
    assert_eq!(told, "");
    assert_eq!(tools.broker.wait_for_end().code(), Some(0));
    let socket = tools.broker.data_dir().join("ctl.sock");
    assert!(!socket.exists(), "goes with the broker");
    for arguments in [&["-q", "ping"][..], &["list_queues"], &["check_running"], &["stop"]] {
        let told = tools.ctl(arguments);
        assert_eq!(told.status, 69, "{told:?}");
    }
    let ping = tools.ctl(&["-q", "ping"]);
    assert!(ping.err.starts_with("Error: unable to perform an operation on node "), "{ping:?}");
    assert_eq!(tools.ctl(&["-q", "stop", "--idempotent"]).status, 0);
    let waited = tools.ctl(&["await_startup", "-t", "1"]);
    assert_eq!(waited.status, 75, "{waited:?}");
    assert!(waited.err.contains("Error: operation await_startup on node "), "{waited:?}");
    assert!(waited.err.contains("timed out. Timeout value used: 1000"), "{waited:?}");
}

#[test]
fn the_socket_is_the_brokers_users_only_and_over_http_one_is_who_one_is() {
    let tools = Tools::new();
    let socket = tools.broker.data_dir().join("ctl.sock");
    let mode = fs::metadata(&socket).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(tools.printed(&["-q", "add_user", "u", "pw"]), "");
    assert_eq!(tools.remote("guest:guest", &["-s", "list_vhosts"]).out, "/\n");
    let wrong = tools.remote("guest:wrong", &["list_users"]);
    assert_eq!(wrong.status, 77, "{wrong:?}");
    assert!(wrong.err.contains("Not_Authorized"), "{wrong:?}");
    let none = tools.remote("u:pw", &["list_vhosts"]);
    assert_eq!(none.status, 77, "{none:?}");
    assert!(none.err.contains("Not management user"), "{none:?}");
    assert_eq!(tools.printed(&["-q", "set_user_tags", "u", "monitoring"]), "");
    assert_eq!(tools.remote("u:pw", &["-s", "list_vhosts"]).out, "/\n");
    let some = tools.remote("u:pw", &["list_users"]);
    assert_eq!(some.status, 77, "{some:?}");
    assert!(some.err.contains("Not administrator user"), "{some:?}");
    let stop = tools.remote("guest:guest", &["stop"]);
    assert_eq!(stop.status, 65, "{stop:?}");
}

#[test]
fn over_tls_a_broker_is_trusted_if_somebody_stands_up_for_it() {
    let (known, other) = (Authority::new(), Authority::new());
    let setup = secure(&known.server("server")).flag("--set", "management.ssl.port=0");
    let broker = setup.flag("--set", "management.ssl.ip=127.0.0.1").start();
    let address = broker.secure_management().expect("was set up with it");
    let port = address.socket.rsplit_once(':').expect("has a port").1;
    let url = format!("https://guest:guest@localhost:{port}");
    let list = |authority: &Authority| {
        let mut command = Command::new(binary());
        command.args(["ctl", "--url", &url, "-s", "list_vhosts", "--cacert"]);
        told(&command.arg(authority.file()).output().expect("it runs"))
    };
    assert_eq!(list(&known).out, "/\n");
    let refused = list(&other);
    assert_eq!(refused.status, 69, "{refused:?}");
    assert!(refused.err.contains("certificate"), "{refused:?}");
}

#[test]
fn a_broker_without_the_api_on_a_port_has_the_socket_all_the_same() {
    let tools = Tools::of(Broker::start());
    assert_eq!(tools.printed(&["-q", "ping"]), "Ping succeeded\n");
    assert_eq!(tools.printed(&["-s", "list_vhosts"]), "/\n");
}

#[test]
fn shells_get_completions_and_readers_a_manual() {
    let run = |arguments: &[&str]| {
        let told = told(&Command::new(binary()).args(arguments).output().expect("it runs"));
        assert_eq!(told.status, 0, "{told:?}");
        told.out
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["ctl", "completions", shell]).contains("list_queues"), "{shell}");
        let own = run(&["ctl", "completions", shell, "rabbitmqctl"]);
        assert!(own.contains("rabbitmqctl") && own.contains("set_policy"), "{shell}");
    }
    let packaging =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").join("packaging/man");
    for (page, arguments) in [("warren.1", &["man"][..]), ("warren-ctl.1", &["man", "ctl"])] {
        let shipped = fs::read_to_string(packaging.join(page)).expect("is shipped");
        assert_eq!(
            run(arguments),
            shipped,
            "`warren {}` writes packaging/man/{page}",
            arguments.join(" ")
        );
    }
}

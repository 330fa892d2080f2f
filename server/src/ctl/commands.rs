//! The table of all commands.

use super::Tool;
use super::command::{Command, any, flag, maybe, number, one, some, value};
use super::listing::{self, BINDINGS, CHANNELS, CONNECTIONS, CONSUMERS, EXCHANGES, QUEUES, VHOSTS};
use super::policy::Layer::{Operator, User};
use super::{
    check, connection, definitions, feature, lifecycle, limit, log, parameter, permission, plugin,
    policy, queue, recording, refused, status, user, vhost,
};

/// The command of this name.
pub(super) fn find(tool: Tool, name: &str) -> Option<&'static Command> {
    of(tool).find(|command| command.name == name)
}

/// All commands of a tool.
pub(super) fn of(tool: Tool) -> impl Iterator<Item = &'static Command> {
    let tables = match tool {
        Tool::Ctl => [COMMANDS, refused::COMMANDS],
        Tool::Plugins => [PLUGINS, &[]],
    };
    tables.into_iter().flatten()
}

macro_rules! commands {
    ($($name:literal [$($arg:expr),* $(,)?] $about:literal
        $module:ident :: $run:ident $(($($argument:expr),*))? $(=> $with:ident)?;)*) => {
        &[$(Command {
            name: $name,
            about: $about,
            args: &[$($arg),*],
            has_own_timeout: false,
            run: |call| Box::pin($module::$run(call $($(, $argument)*)?)),
        }$(.$with())?,)*]
    };
}
pub(super) use commands;

/// Those of `warren ctl`, but for those that are refused.
const COMMANDS: &[Command] = commands! {
    "status" [value("unit", "bytes, mb, mib, gb, gib, tb or tib [gb]")]
        "What the node is and how it is" status::status;
    "cluster_status" [] "The nodes: there is one" status::cluster_status;
    "environment" [] "The configuration that the node goes by" status::environment;
    "version" [] "The version of RabbitMQ whose commands these are" status::version;
    "server_version" [] "The version of RabbitMQ that the node stands for" status::server_version;
    "ping" [] "Whether the node answers" status::ping;
    "is_running" [] "Says whether the node serves clients" status::is_running;
    "is_booting" [] "Says whether the node is being started" status::is_booting;
    "await_startup" [] "Waits until the node serves clients"
        lifecycle::await_startup => with_own_timeout;
    "await_online_nodes" [one("count")] "Waits until so many nodes serve clients"
        lifecycle::await_online_nodes => with_own_timeout;
    "wait" [maybe("pidfile"), number("pid", "The process, instead of a file").short('P')]
        "Waits until the node of this process serves clients" lifecycle::wait => with_own_timeout;
    "stop" [maybe("pidfile"), flag("idempotent", "Not to be running is as good")]
        "Stops the node" lifecycle::stop;
    "shutdown" [flag("wait", "Waits for its end, as is done anyway"),
        flag("no-wait", "Does not wait for its end")]
        "Stops the node and waits for its end" lifecycle::shutdown => with_own_timeout;
    "restart_and_record" []
        "Stops the node, starts it anew in the same process, and records what goes into it then"
        recording::restart => with_own_timeout;
    "set_cluster_name" [one("name")] "Names the cluster" parameter::set_cluster_name;
    "list_feature_flags" [any("column")] "Features of RabbitMQ's versions" feature::list;
    "enable_feature_flag" [one("feature_flag"),
        flag("opt-in", "Is accepted").short('o'), flag("experimental", "Is accepted").short('e')]
        "Does nothing: they all are enabled" feature::enable;
    "list_deprecated_features" [any("column"), flag("used", "Only those in use")]
        "None" feature::list_deprecated;

    "list_users" [] "All users and their tags" user::list;
    "add_user" [one("username"), maybe("password"),
        flag("pre-hashed-password", "The password is a hash, as hash_password makes it")]
        "Makes a user" user::add;
    "delete_user" [one("username")] "Deletes a user" user::delete;
    "change_password" [one("username"), maybe("password")] "Sets a user's password"
        user::change_password;
    "clear_password" [one("username")] "Leaves a user without a password" user::clear_password;
    "authenticate_user" [one("username"), maybe("password")] "Whether a password is right"
        user::authenticate;
    "set_user_tags" [one("username"), any("tag")] "Sets a user's tags" user::set_tags;
    "hash_password" [maybe("password"), value("hashing-algorithm", "sha256, sha512 or md5")]
        "Computes the salted hash of a password" user::hash_password;
    "list_hashes" [] "Algorithms of such hashes" user::list_hashes;
    "set_user_limits" [one("username"), one("definition")] "Limits what a user may have"
        limit::set_of_user;
    "clear_user_limits" [one("username"), one("limit_type")] "Lifts a limit of a user, or `all`"
        limit::clear_of_user;
    "list_user_limits" [value("user", "Of which user [guest]"), flag("global", "Of all users")]
        "The limits of users" limit::list_of_users;

    "list_vhosts" [any("column")] "All virtual hosts" listing::list(&VHOSTS);
    "add_vhost" [one("vhost"), value("description", "What it is for").short('d'),
        value("tags", "Separated by commas"), value("default-queue-type", "classic or quorum")]
        "Makes a virtual host" vhost::add;
    "update_vhost_metadata" [one("vhost"), value("description", "What it is for").short('d'),
        value("tags", "Separated by commas"), value("default-queue-type", "classic or quorum"),
        value("protected-from-deletion", "true or false")]
        "Changes what is said of a virtual host" vhost::update;
    "set_vhost_tags" [one("vhost"), any("tag")] "Sets a virtual host's tags" vhost::set_tags;
    "delete_vhost" [one("vhost")] "Deletes a virtual host with all that is in it" vhost::delete;
    "enable_vhost_deletion_protection" [one("vhost")] "Keeps a virtual host from being deleted"
        vhost::protect(true);
    "disable_vhost_deletion_protection" [one("vhost")] "Lets a virtual host be deleted"
        vhost::protect(false);
    "restart_vhost" [] "Does nothing: virtual hosts do not fail" vhost::restart;
    "reconcile_vhosts" [] "Does nothing: virtual hosts do not fail" vhost::reconcile;
    "set_vhost_limits" [one("definition")] "Limits what a virtual host may have"
        limit::set_of_vhost;
    "clear_vhost_limits" [] "Lifts the limits of a virtual host" limit::clear_of_vhost;
    "list_vhost_limits" [flag("global", "Of all virtual hosts")] "The limits of virtual hosts"
        limit::list_of_vhosts;

    "set_permissions" [one("username"), one("conf"), one("write"), one("read")]
        "Sets what a user may do in a virtual host" permission::set;
    "set_permissions_globally" [one("username"), one("conf"), one("write"), one("read")]
        "Sets what a user may do in all virtual hosts" permission::set_everywhere;
    "clear_permissions" [one("username")] "A user may do nothing in a virtual host"
        permission::clear;
    "list_permissions" [] "Who may do what in a virtual host" permission::list;
    "list_user_permissions" [one("username")] "What a user may do where"
        permission::list_of_user;
    "set_topic_permissions" [one("username"), one("exchange"), one("write"), one("read")]
        "Sets what a user may do at a topic exchange" permission::set_topic;
    "clear_topic_permissions" [one("username"), maybe("exchange")]
        "A user may do everything at a topic exchange, or at all" permission::clear_topic;
    "list_topic_permissions" [] "Who may do what at topic exchanges" permission::list_topic;
    "list_user_topic_permissions" [one("username")] "What a user may do at topic exchanges"
        permission::list_topic_of_user;

    "set_policy" [one("name"), one("pattern"), one("definition"),
        number("priority", "The highest is in force [0]"),
        value("apply-to", "queues, classic_queues, quorum_queues, exchanges or all")]
        "Sets a policy" policy::set(User);
    "clear_policy" [one("name")] "Deletes a policy" policy::clear(User);
    "list_policies" [] "The policies of a virtual host" policy::list(User);
    "set_operator_policy" [one("name"), one("pattern"), one("definition"),
        number("priority", "The highest is in force [0]"),
        value("apply-to", "queues, classic_queues, quorum_queues or all")]
        "Sets an operator's policy" policy::set(Operator);
    "clear_operator_policy" [one("name")] "Deletes an operator's policy" policy::clear(Operator);
    "list_operator_policies" [] "The operators' policies of a virtual host"
        policy::list(Operator);
    "set_parameter" [one("component_name"), one("name"), one("value")]
        "Sets a parameter of a virtual host" parameter::set;
    "clear_parameter" [one("component_name"), one("name")] "Clears a parameter" parameter::clear;
    "list_parameters" [] "The parameters of a virtual host" parameter::list;
    "set_global_parameter" [one("name"), one("value")] "Sets a parameter of the whole broker"
        parameter::set_global;
    "clear_global_parameter" [one("name")] "Clears a parameter of the whole broker"
        parameter::clear_global;
    "list_global_parameters" [] "The parameters of the whole broker" parameter::list_global;

    "list_queues" [any("column"), flag("online", "Is accepted"), flag("offline", "Lists none"),
        flag("local", "Is accepted")]
        "The queues of a virtual host" listing::list(&QUEUES);
    "list_unresponsive_queues" [any("column"), flag("local", "Is accepted"),
        number("queue-timeout", "Is accepted")]
        "None: queues answer together, or none does" queue::list_unresponsive;
    "list_exchanges" [any("column")] "The exchanges of a virtual host"
        listing::list(&EXCHANGES);
    "list_bindings" [any("column")] "The bindings of a virtual host" listing::list(&BINDINGS);
    "list_connections" [any("column")] "All connections" listing::list(&CONNECTIONS);
    "list_channels" [any("column")] "All channels" listing::list(&CHANNELS);
    "list_consumers" [any("column")] "The consumers of a virtual host"
        listing::list(&CONSUMERS);
    "delete_queue" [one("queue"), flag("if-empty", "Only if it has no ready messages").short('e'),
        flag("if-unused", "Only if it has no consumers").short('u'), flag("force", "Is accepted")]
        "Deletes a queue" queue::delete;
    "purge_queue" [one("queue")] "Drops the ready messages of a queue" queue::purge;
    "browse" [one("queue"), number("count", "How many [10]"), value("after", "Behind this message")]
        "Shows the first ready messages of a queue, which stay as they are" queue::browse;
    "delete_message" [one("queue"), one("id")] "Deletes one message, as browse shows it"
        queue::delete_message;
    "pause_queue" [one("queue")] "Has a queue hand out nothing" queue::pause(true);
    "resume_queue" [one("queue")] "Has a queue hand out messages again" queue::pause(false);
    "list_delayed" [number("count", "How many [10]")] "Messages that are delayed"
        queue::list_delayed;
    "cancel_delayed" [one("id")] "Takes a delayed message back" queue::cancel_delayed;
    "close_connection" [one("connection"), one("explanation")]
        "Closes a connection, by its pid or name" connection::close;
    "close_all_connections" [one("explanation"), flag("global", "Those of all virtual hosts"),
        number("limit", "No more than so many"),
        number("per-connection-delay", "Milliseconds between two")]
        "Closes the connections of a virtual host" connection::close_all;
    "close_all_user_connections" [one("username"), one("explanation")]
        "Closes the connections of a user" connection::close_of_user;
    "export_definitions" [one("file"), value("format", "json")]
        "Writes what is declared to a file, or to standard output (-)" definitions::export;
    "import_definitions" [maybe("file"), value("format", "json"),
        flag("skip-if-unchanged", "Is accepted")]
        "Declares what a file says, or standard input" definitions::import;

    "alarms" [] "Which alarms are on" check::alarms;
    "check_alarms" [] "Fails if an alarm is on" check::no_alarms;
    "check_local_alarms" [] "Fails if an alarm is on" check::no_local_alarms;
    "check_running" [] "Fails if the node does not serve clients" check::running;
    "check_port_connectivity" [value("address", "An IP address of the node").short('a')]
        "Fails if something that is listened on cannot be connected to" check::connectivity;
    "check_port_listener" [one("port")] "Fails if a port is not listened on" check::port;
    "check_protocol_listener" [one("protocol")] "Fails if a protocol is not spoken"
        check::protocol;
    "check_virtual_hosts" [] "Fails if a virtual host is down" check::virtual_hosts;
    "check_certificate_expiration" [number("within", "How soon [4]"),
        value("unit", "days, weeks, months or years [weeks]")]
        "Fails if a certificate runs out soon" check::certificates;
    "check_if_node_is_quorum_critical" [] "Fails where others would suffer from a stop"
        check::not_critical;
    "check_if_node_is_mirror_sync_critical" [] "Fails where others would suffer from a stop"
        check::not_critical;
    "check_if_metadata_store_is_initialized" [] "Fails if what is declared is not known yet"
        check::running;
    "check_if_metadata_store_is_initialized_with_data" []
        "Fails if what is declared is not known yet" check::running;
    "check_for_quorum_queues_without_an_elected_leader" [maybe("pattern"),
        flag("across-all-vhosts", "Is accepted")]
        "Fails if a quorum queue does not serve" check::running;
    "check_if_any_deprecated_features_are_used" [] "Does not fail: there are none" check::running;
    "node_health_check" [] "Fails if an alarm is on" check::no_alarms;
    "await_online_quorum_plus_one" [] "Does not wait: there is one node" check::not_critical;
    "log_tail" [number("number", "How many lines [50]").short('N')]
        "The last lines of the log" log::tail;
    "log_tail_stream" [value("duration", "For so many seconds, or infinity").short('d')]
        "What comes to the log" log::stream => with_own_timeout;
    "log_location" [flag("all", "All of them").short('a')] "Where the log is" log::location;
    "rotate_logs" [] "Begins a new log file" log::rotate;
    "set_log_level" [some("log_level")]
        "Logs debug, info, warning, error or none until the configuration is read again"
        log::set_level;
    "set_vm_memory_high_watermark" [some("value")]
        "Has publishers wait at this fraction of the memory, or at `absolute` AMOUNT"
        limit::set_memory;
    "set_disk_free_limit" [some("value")]
        "Has publishers wait below this amount, or at `mem_relative` FACTOR" limit::set_disk;
    "listeners" [] "What is listened on" status::listeners;
    "memory_breakdown" [value("unit", "bytes, mb or gb [gb]")] "What takes memory"
        status::memory_breakdown;
    "rebalance" [one("type"), value("vhost-pattern", "Is accepted"),
        value("queue-pattern", "Is accepted")]
        "Does nothing: there is one node" queue::rebalance;
};

/// Those of `rabbitmq-plugins`.
const PLUGINS: &[Command] = commands! {
    "list" [maybe("pattern"), flag("verbose", "Says more of each").short('v'),
        flag("minimal", "Nothing but names").short('m'), flag("enabled", "All are").short('E'),
        flag("implicitly-enabled", "None is").short('e')]
        "What plugins of RabbitMQ are called here" plugin::list;
    "enable" [any("plugin"), flag("all", "All that there are"), flag("online", "Is accepted"),
        flag("offline", "Is accepted")]
        "Does nothing: they all are enabled" plugin::enable;
    "disable" [any("plugin"), flag("all", "All that there are"), flag("online", "Is accepted"),
        flag("offline", "Is accepted")]
        "Fails for what is built in" plugin::disable;
    "set" [any("plugin"), flag("online", "Is accepted"), flag("offline", "Is accepted")]
        "Fails for what is not built in" plugin::enable;
    "is_enabled" [some("plugin"), flag("online", "Is accepted"), flag("offline", "Is accepted")]
        "Fails for what is not built in" plugin::is_enabled;
    "directories" [flag("online", "Is accepted"), flag("offline", "Is accepted")]
        "None: there are no files of plugins" plugin::directories;
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_commands_have_the_same_name() {
        for tool in [Tool::Ctl, Tool::Plugins] {
            let names: BTreeSet<_> = of(tool).map(|command| command.name).collect();
            assert_eq!(names.len(), of(tool).count());
        }
    }
}

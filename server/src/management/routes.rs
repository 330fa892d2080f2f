//! The table of all routes. Of those that match a path the first is taken.

use warren_core::broker::PolicyLayer::{Operator, User};

use super::auth::Tag::{Administrator, Management, Monitoring, Policymaker};
use super::route::{Operation, Route, delete, get, post, put};
use super::{
    binding, configuration, connection, course, definitions, exchange, export, health, history,
    intervention, limit, log, message, moving, openapi, overview, parameter, permission, policy,
    queue, recording, rights, topology, user, vhost,
};

/// How much may come with a request that carries a message, or definitions.
const MESSAGE_LEN_MAX: usize = 48 << 20;

/// The route of a path, and the values of its parameters.
pub(super) fn find(path: &str) -> Option<(&'static Route, Vec<(&'static str, String)>)> {
    ROUTES.iter().find_map(|route| Some((route, route.matches(path)?)))
}

macro_rules! routes {
    ($($path:literal $(, $method:ident $tag:ident $summary:literal
        $module:ident :: $run:ident $(($($argument:expr),*))? $([$len:expr])?)+;)*) => {
        &[$(Route { path: $path, operations: { const OPERATIONS: &[Operation] = &[$(
            $method($tag, $summary, |call| Box::pin($module::$run(call $($(, $argument)*)?)))
                $(.with_body_of($len))?,
        )+]; OPERATIONS } },)*]
    };
}

/// See the [module](self).
pub(super) const ROUTES: &[Route] = routes! {
    "/api/overview", get Management "What there is at a glance" overview::overview;
    "/api/history", get Management "The last hour, for charts" history::all;
    "/api/whoami", get Management "Who asks" overview::whoami;
    "/api/whoami/permissions",
        get Management "The permissions of who asks, in each virtual host" rights::list;
    "/api/whoami/permissions/{vhost}",
        get Management "The permissions of who asks, and what they say of a `name`" rights::one;
    "/api/version", get Management "The version of RabbitMQ whose API this is" overview::version;
    "/api/extensions", get Management "What extends the user interface" overview::extensions;
    "/api/auth", get Management "How to log in" overview::auth;
    "/api/openapi.json", get Management "This description" openapi::describe;
    "/api/cluster-name",
        get Management "The cluster's name" parameter::cluster_name,
        put Administrator "Names the cluster" parameter::set_cluster_name;
    "/api/config/effective",
        get Administrator "The configuration in force, and where each value is from"
            configuration::effective;
    "/api/feature-flags", get Management "Features that are there" overview::feature_flags;
    "/api/feature-flags/{name}/enable",
        put Administrator "Does nothing" overview::enable_feature_flag;
    "/api/deprecated-features", get Management "None" overview::nothing;
    "/api/deprecated-features/used", get Management "None" overview::nothing;
    "/api/shovels", get Monitoring "None" overview::nothing;
    "/api/shovels/{vhost}", get Monitoring "None" overview::nothing;
    "/api/federation-links", get Monitoring "None" overview::nothing;
    "/api/federation-links/{vhost}", get Monitoring "None" overview::nothing;
    "/api/auth/attempts/{node}", get Monitoring "None" overview::nothing;
    "/api/rebalance/queues", post Administrator "Does nothing" overview::rebalance;
    "/api/nodes", get Management "All nodes" overview::nodes;
    "/api/nodes/{node}", get Monitoring "A node" overview::node;
    "/api/nodes/{node}/memory", get Monitoring "What takes memory" overview::memory;

    "/api/node-limits",
        get Monitoring "How much memory and disk the node may take" limit::list_of_node,
        put Administrator "Sets vm_memory_high_watermark.relative or .absolute, or \
            disk_free_limit.absolute or .relative, until the configuration is read again"
            limit::set_of_node;
    "/api/logs", get Administrator "The last records of the log: the first `limit` (100, up to \
            1000) behind the one with the number `since`, or the last; as severe as `level`"
        log::list;
    "/api/logs/rotate", post Administrator "Begins a new log file" log::rotate;
    "/api/logs/level/{level}",
        put Administrator "Logs this until the configuration is read again" log::set_level;

    "/api/definitions",
        get Administrator "All definitions" export::export,
        post Administrator "Makes what definitions say" definitions::import[MESSAGE_LEN_MAX];
    "/api/definitions/{vhost}",
        get Administrator "A virtual host's definitions" export::export,
        post Administrator "Makes what definitions say" definitions::import[MESSAGE_LEN_MAX];

    "/api/connections", get Management "All connections" connection::connections;
    "/api/connections/username/{user}",
        get Management "A user's connections" connection::connections_of_user,
        delete Management "Closes a user's connections" connection::close_of_user;
    "/api/connections/{connection}",
        get Management "A connection" connection::one,
        delete Management "Closes a connection" connection::close;
    "/api/connections/{connection}/channels",
        get Management "A connection's channels" connection::channels_of;
    "/api/channels", get Management "All channels" connection::channels;
    "/api/channels/{channel}", get Management "A channel" connection::channel;
    "/api/consumers", get Management "All consumers" connection::consumers;
    "/api/consumers/{vhost}", get Management "A virtual host's consumers" connection::consumers;

    "/api/exchanges", get Management "All exchanges" exchange::list;
    "/api/exchanges/{vhost}", get Management "A virtual host's exchanges" exchange::list;
    "/api/exchanges/{vhost}/{exchange}",
        get Management "An exchange" exchange::one,
        put Management "Declares an exchange" exchange::declare,
        delete Management "Deletes an exchange" exchange::delete;
    "/api/exchanges/{vhost}/{exchange}/bindings/source",
        get Management "The bindings from an exchange" exchange::bindings_from;
    "/api/exchanges/{vhost}/{exchange}/bindings/destination",
        get Management "The bindings to an exchange" exchange::bindings_to;
    "/api/exchanges/{vhost}/{exchange}/route",
        post Management "Where a message would go, were it published" course::course;
    "/api/exchanges/{vhost}/{exchange}/publish",
        post Management "Publishes a message" message::publish[MESSAGE_LEN_MAX];

    "/api/queues", get Management "All queues" queue::list;
    "/api/queues/detailed", get Management "All queues" queue::list;
    "/api/queues/{vhost}", get Management "A virtual host's queues" queue::list;
    "/api/queues/{vhost}/{queue}",
        get Management "A queue" queue::one,
        put Management "Declares a queue" queue::declare,
        delete Management "Deletes a queue" queue::delete;
    "/api/queues/{vhost}/{queue}/bindings",
        get Management "A queue's bindings" queue::bindings;
    "/api/queues/{vhost}/{queue}/history",
        get Management "A queue's last hour, from when somebody looked" history::of_queue;
    "/api/queues/{vhost}/{queue}/contents",
        delete Management "Drops what is ready in a queue" queue::purge;
    "/api/queues/{vhost}/{queue}/get", post Management "Takes messages of a queue" message::get;
    "/api/queues/{vhost}/{queue}/actions",
        post Administrator "Does something to a queue's copies" queue::act;

    "/api/queues/{vhost}/{queue}/move",
        post Administrator "Moves ready messages to another queue" moving::to_queue;
    "/api/queues/{vhost}/{queue}/messages",
        get Administrator "A queue's messages, which stay as they are" intervention::browse;
    "/api/queues/{vhost}/{queue}/messages/{id}",
        delete Administrator "Deletes one message" intervention::delete;
    "/api/queues/{vhost}/{queue}/arguments",
        put Administrator "Changes what a queue was declared with" intervention::set_arguments;
    "/api/queues/{vhost}/{queue}/pause",
        put Administrator "Has a queue hand out nothing" intervention::pause(true),
        delete Administrator "Has a queue hand out messages again" intervention::pause(false);
    "/api/delayed/{vhost}", get Administrator "Messages that are delayed" intervention::delayed;
    "/api/delayed/{vhost}/{id}",
        delete Administrator "Takes a delayed message back" intervention::cancel;

    "/api/bindings", get Management "All bindings" binding::list;
    "/api/bindings/{vhost}", get Management "A virtual host's bindings" binding::list;
    "/api/bindings/{vhost}/e/{source}/{kind}/{destination}",
        get Management "The bindings between two" binding::between,
        post Management "Binds a queue (q) or an exchange (e)" binding::bind;
    "/api/bindings/{vhost}/e/{source}/{kind}/{destination}/{props}",
        get Management "A binding" binding::one,
        delete Management "Unbinds" binding::unbind;

    "/api/vhosts", get Management "All virtual hosts" vhost::list;
    "/api/vhosts/{vhost}",
        get Management "A virtual host" vhost::one,
        put Administrator "Makes a virtual host" vhost::set,
        delete Administrator "Deletes a virtual host" vhost::delete;
    "/api/vhosts/{vhost}/permissions",
        get Administrator "A virtual host's permissions" permission::list_of_vhost;
    "/api/vhosts/{vhost}/topic-permissions",
        get Administrator "A virtual host's topic permissions" permission::list_topic_of_vhost;
    "/api/vhosts/{vhost}/start/{node}", post Administrator "Does nothing" vhost::start;
    "/api/vhosts/{vhost}/deletion/protection",
        post Administrator "Keeps a virtual host from being deleted" vhost::protect(true),
        delete Administrator "Lets a virtual host be deleted" vhost::protect(false);
    "/api/vhosts/{vhost}/connections",
        get Management "A virtual host's connections" connection::connections;
    "/api/vhosts/{vhost}/channels",
        get Management "A virtual host's channels" connection::channels;

    "/api/users", get Administrator "All users" user::list;
    "/api/users/bulk-delete", post Administrator "Deletes users" user::delete_many;
    "/api/users/without-permissions",
        get Administrator "Users without permissions" user::list_without_permissions;
    "/api/users/{user}",
        get Administrator "A user" user::one,
        put Administrator "Makes a user" user::set,
        delete Administrator "Deletes a user" user::delete;
    "/api/users/{user}/permissions",
        get Administrator "A user's permissions" user::permissions;
    "/api/users/{user}/topic-permissions",
        get Administrator "A user's topic permissions" user::topic_permissions;
    "/api/permissions", get Administrator "All permissions" permission::list;
    "/api/permissions/{vhost}/{user}",
        get Administrator "A permission" permission::one,
        put Administrator "Sets a permission" permission::set,
        delete Administrator "Clears a permission" permission::clear;
    "/api/topic-permissions", get Administrator "All topic permissions" permission::list_topic;
    "/api/topic-permissions/{vhost}/{user}",
        get Administrator "A user's topic permissions" permission::list_topic_of_user,
        put Administrator "Sets a topic permission" permission::set_topic,
        delete Administrator "Clears topic permissions" permission::clear_topic;
    "/api/topic-permissions/{vhost}/{user}/{exchange}",
        delete Administrator "Clears a topic permission" permission::clear_topic;
    "/api/vhost-limits", get Management "Limits of virtual hosts" limit::list_of_vhosts;
    "/api/vhost-limits/{vhost}", get Management "A virtual host's limits" limit::list_of_vhosts;
    "/api/vhost-limits/{vhost}/{name}",
        put Administrator "Sets a limit of a virtual host" limit::set_of_vhost,
        delete Administrator "Clears a limit of a virtual host" limit::clear_of_vhost;
    "/api/user-limits", get Administrator "Limits of users" limit::list_of_users;
    "/api/user-limits/{user}", get Administrator "A user's limits" limit::list_of_users;
    "/api/user-limits/{user}/{name}",
        put Administrator "Sets a limit of a user" limit::set_of_user,
        delete Administrator "Clears a limit of a user" limit::clear_of_user;

    "/api/parameters", get Policymaker "All parameters" parameter::list;
    "/api/parameters/{component}", get Policymaker "A component's parameters" parameter::list;
    "/api/parameters/{component}/{vhost}",
        get Policymaker "A component's parameters in a virtual host" parameter::list;
    "/api/parameters/{component}/{vhost}/{name}",
        get Policymaker "A parameter" parameter::one,
        put Policymaker "Sets a parameter" parameter::set,
        delete Policymaker "Clears a parameter" parameter::clear;
    "/api/global-parameters", get Policymaker "All global parameters" parameter::list_global;
    "/api/global-parameters/{name}",
        get Policymaker "A global parameter" parameter::one_global,
        put Policymaker "Sets a global parameter" parameter::set_global,
        delete Policymaker "Clears a global parameter" parameter::clear_global;

    "/api/policies", get Management "All policies" policy::list(User);
    "/api/policies/{vhost}", get Management "A virtual host's policies" policy::list(User);
    "/api/policies/{vhost}/{name}",
        get Management "A policy" policy::one(User),
        put Policymaker "Sets a policy" policy::set(User),
        delete Policymaker "Deletes a policy" policy::delete(User);
    "/api/operator-policies", get Management "All operators' policies" policy::list(Operator);
    "/api/operator-policies/{vhost}",
        get Management "A virtual host's operators' policies" policy::list(Operator);
    "/api/operator-policies/{vhost}/{name}",
        get Management "An operator's policy" policy::one(Operator),
        put Administrator "Sets an operator's policy" policy::set(Operator),
        delete Administrator "Deletes an operator's policy" policy::delete(Operator);

    "/api/topology/{vhost}",
        get Management "What leads where, around an exchange or a queue" topology::topology;
    "/api/policy-preview/{vhost}",
        post Policymaker "What a policy would be for, were it set" policy::preview(User);
    "/api/operator-policy-preview/{vhost}",
        post Policymaker "What an operator's policy would be for" policy::preview(Operator);

    "/api/flight-recordings", get Administrator "Recordings that there are" recording::list;
    "/api/flight-recordings/next",
        put Administrator "Has the next start of the broker recorded" recording::set_next(true),
        delete Administrator "Has the next start recorded no more" recording::set_next(false);
    "/api/flight-recordings/restart",
        post Administrator "Has the broker start anew, now, and that start recorded"
            recording::restart;
    "/api/flight-recordings/current",
        delete Administrator "Ends the recording of this start" recording::stop;
    "/api/flight-recordings/{name}",
        get Administrator "A part of a recording" recording::part;

    "/api/health/checks/alarms", get Management "Whether alarms are on" health::alarms;
    "/api/health/checks/local-alarms", get Management "Whether alarms are on" health::alarms;
    "/api/health/checks/virtual-hosts", get Management "Whether all are there" health::well;
    "/api/health/checks/port-listener/{port}",
        get Management "Whether a port is listened on" health::port_listener;
    "/api/health/checks/protocol-listener/{protocol}",
        get Management "Whether a protocol is spoken" health::protocol_listener;
    "/api/health/checks/certificate-expiration/{within}/{unit}",
        get Management "Whether no certificate runs out soon" health::certificates;
    "/api/health/checks/node-is-quorum-critical",
        get Management "Whether the node can be stopped" health::well;
    "/api/health/checks/node-is-mirror-sync-critical",
        get Management "Whether the node can be stopped" health::well;
    "/api/health/checks/is-in-service",
        get Management "Whether the node serves" health::in_service;
    "/api/health/checks/ready-to-serve-clients",
        get Management "Whether clients can connect" health::ready;
    "/api/health/checks/below-node-connection-limit",
        get Management "Whether there is room for connections" health::has_room;
    "/api/health/checks/metadata-store/initialized",
        get Management "Whether what is declared is known" health::well;
    "/api/health/checks/metadata-store/initialized/with-data",
        get Management "Whether what is declared is known" health::well;
    "/api/health/checks/quorum-queues-without-elected-leaders/all-vhosts",
        get Management "Whether all queues serve" health::well;
    "/api/health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}",
        get Management "Whether queues of this name serve" health::well;
    "/api/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}",
        get Management "Whether a virtual host's queues serve" health::well;
    "/api/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}",
        get Management "Whether a virtual host's queues of this name serve" health::well;
    "/api/aliveness-test/{vhost}",
        get Management "Sends a message and takes it" health::aliveness;
    "/api/healthchecks/node", get Monitoring "Whether the node serves" health::alarms;
    "/api/auth/hash_password/{password}",
        get Administrator "A salted hash of a password" user::hash_password;
};

#[cfg(test)]
mod tests {
    use super::super::route::parameter;
    use super::*;

    #[test]
    fn every_route_can_be_reached() {
        for route in ROUTES {
            let path: Vec<_> =
                route.path.split('/').map(|part| parameter(part).map_or(part, |_| "x")).collect();
            let (found, _) = find(&path.join("/")).expect("is in the table");
            assert_eq!(found.path, route.path, "comes behind one that takes its paths");
        }
    }
}

// The pages of those who run the broker, loaded together.

export { default as Definitions } from "./definitions.tsx";
export { default as Limits } from "./limits.tsx";
export { default as Log } from "./log.tsx";
export { default as Policies, OperatorPolicies } from "./policies.tsx";
export { default as Recordings } from "./recordings.tsx";
export { default as User } from "./user.tsx";
export { default as Users } from "./users.tsx";
export { default as Vhost } from "./vhost.tsx";
export { default as Vhosts } from "./vhosts.tsx";

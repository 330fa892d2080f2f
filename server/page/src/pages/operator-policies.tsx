// Operators' policies.

export { OperatorPolicies as default } from "./policies.tsx";

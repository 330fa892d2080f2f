# Completions for rabbitmqctl, which is a link to warren.
source <(warren ctl completions bash rabbitmqctl)

# Completions for warren, which writes them itself.
warren ctl completions fish | source
warren ctl completions fish rabbitmqctl | source

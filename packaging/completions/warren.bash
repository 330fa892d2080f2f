# Completions for warren, which writes them itself.
source <(warren ctl completions bash)

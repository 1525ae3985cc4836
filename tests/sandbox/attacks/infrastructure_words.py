# Tries: be taken for trouble of the sandbox, and tried again
# Verdict: runtime_error
raise RuntimeError('sandbox_error: CellLost: the container ended: docker: OCI runtime error')

"""Code that runs inside the sandbox, under the audited interpreter: only the standard library, no part of ftaudit."""

"""What runs inside the sandbox, under the audited interpreter: the standard library alone, and no part of ftaudit."""

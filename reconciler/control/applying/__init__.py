"""APPLYING: a plan -> steps that are journalled, done and looked at again."""

from tools.rules.tests.runfiles.lib import words

print(words.TEXT)

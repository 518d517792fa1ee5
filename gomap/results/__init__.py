"""What commands answer: one class an answer, with the type and the meaning of each field.

JSON, the tables of docs/json.md and what the tests require of answers come from these classes. A field that is here
stays: its name and meaning do not change while `schema` is gomap/1.
"""

"""Ask the model that train_joint.py saved in this folder.

python examples/ask.py "Where is the library?" "Who bakes the bread?"
"""

import sys

import openrealm as orm

corpus = orm.Corpus.open("corpus/")
model = orm.Realm.from_pretrained("out/")
answerer = orm.Answerer(model, corpus, orm.Index.open("index/", corpus, model))

for answer in answerer.ask(sys.argv[1:]):
    print(answer.question)
    print("->", answer.text)
    print(f"   {answer.source.title}: {answer.source.text}")

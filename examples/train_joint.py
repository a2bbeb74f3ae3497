"""Train a REALM model on a folder of text with a custom loss, and ask it a question.

    python examples/train_joint.py my_docs/          # a thousand steps
    python examples/train_joint.py my_docs/ 20       # a quick look

Run it again after an interruption: training continues from its last checkpoint. TensorBoard needs
`pip install "openrealm[tensorboard]"`.
"""

import sys

import openrealm as orm

docs = sys.argv[1]
num_steps = int(sys.argv[2]) if len(sys.argv) > 2 else 1000

corpus = orm.Corpus.build(docs, "corpus/")
model = orm.Realm.from_pretrained("openrealm-mini")
index = orm.Index.build(model, corpus)


def loss(reading):
    """The paper's loss plus a penalty on the entropy of p(z|x); one value per query."""
    return reading.marginal_loss() + 0.1 * reading.entropy()


joint = orm.tasks.Joint(corpus, index, loss=loss)
orm.Trainer(model, joint, num_steps=num_steps, callbacks=[orm.callbacks.TensorBoard("logs/")]).train(resume=True)

questions = orm.cloze_questions(corpus)  # or orm.read_questions("questions.jsonl")
orm.Trainer(model, orm.tasks.OpenQA(corpus, joint.index, questions), num_steps=num_steps).train(resume=True)
model.save_pretrained("out/")
joint.index.save("index/")

answer = orm.Answerer(model, corpus, joint.index).ask("Where is the library?")
print(answer.text, answer.source.title, answer.retrieval_utility, sep=" | ")

hits = joint.index.search(model.encode_query(["Where is the library?"]), k=5)
for score, passage in zip(hits.score_BK[0].tolist(), hits.id_BK[0].tolist(), strict=True):
    print(f"{score:6.2f}  {corpus[passage].title}")

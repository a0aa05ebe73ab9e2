import re,itertools,random,time
from reconciler.plan.globs import *
def m(p,n): return re.fullmatch(re.escape(p.upper()).replace(r"\*",".*").replace(r"\?","."),n.upper(),re.S) is not None
A="ab*?"
P=[''.join(t) for k in range(0,6) for t in itertools.product(A,repeat=k)]
N=[''.join(t) for k in range(0,6) for t in itertools.product("ab*",repeat=k)]
for p in P:
    g=globs((p,))
    r=re.compile(re.escape(p.upper()).replace(r"\*",".*").replace(r"\?","."),re.S)
    for n in N[::7]:
        assert g.fits(n)==(r.fullmatch(n.upper()) is not None),(p,n)
N2=[''.join(t) for k in range(0,8) for t in itertools.product("ab",repeat=k)]
P2=random.sample(P,150)
L={p:frozenset(n for n in N2 if m(p,n)) for p in P2}
for p in P2:
    for q in P2:
        if L[p]&L[q]: assert globs_meet(p,q),(p,q)
        elif globs_meet(p,q): print("meet?",p,q)
        if glob_within(p,q): assert L[p]<=L[q],(p,q)
print("ok")

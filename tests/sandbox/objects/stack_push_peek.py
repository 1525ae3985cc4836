class Stack(list):
    def push(self,x): self.append(x)
    def peek(self): return self[-1]


# --- test
s=Stack()
s.push(1); s.push(2)
assert s==[1,2] and len(s)==2 and s.peek()==2 and s.pop()==2 and s==[1] and s.peek()==1
s.append(9)
assert s.peek()==9 and list(s)==[1,9] and isinstance(s,list) and isinstance(s,Stack)

function n(o,c){let t=URL.createObjectURL(c),e=document.createElement("a");e.href=t,e.download=o,e.click(),window.setTimeout(()=>URL.revokeObjectURL(t),6e4)}export{n as a};

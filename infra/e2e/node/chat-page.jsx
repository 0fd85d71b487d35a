// A page with the AI SDK's `useChat` and its default transport, as an application has it. `globalThis.show` starts it.
// What the page shows is in `globalThis.shown`.

import { useChat } from '@ai-sdk/react';
import { DefaultChatTransport } from 'ai';
import { createRoot } from 'react-dom/client';

function Chat({ id, history, transport }) {
  const { messages, sendMessage, status, error } = useChat({ id, messages: history, resume: true, transport });
  const parts = messages.filter(({ role }) => role === 'assistant').flatMap(message => message.parts);
  const text = parts.filter(({ type }) => type === 'text').map(part => part.text).join('\n\n');
  // Ids of questions are the client's until the page is loaded again.
  const screen = messages.map(({ id, role, parts }) => ({ role, parts, ...(role === 'assistant' && { id }) }));
  globalThis.shown = { text, status, error: error?.message, screen: JSON.stringify(screen) };
  globalThis.send = content => void sendMessage({ text: content });
  return <p>{text}</p>;
}

globalThis.show = async ({ project, token }) => {
  const { items: history } = await (await fetch(`/api/projects/${project}/messages?format=ui`)).json();
  const transport = new DefaultChatTransport({ api: '/api/chat', headers: { 'x-csrf-token': token } });
  createRoot(document.body).render(<Chat id={project} history={history} transport={transport} />);
};

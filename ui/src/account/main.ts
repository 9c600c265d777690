import '../styles/base.css';
import { mount } from 'svelte';
import { learn } from '../i18n.ts';
import { accountTexts } from '../texts/account.ts';
import Account from './Account.svelte';
import { takeToken, viewAt } from './view.ts';

learn(accountTexts);
const target = document.getElementById('app');
if (!target) throw new Error('the page has no #app');
const view = viewAt(location.pathname);
mount(Account, { target, props: { view, token: view === 'invite' || view === 'setup' ? takeToken() : '' } });
